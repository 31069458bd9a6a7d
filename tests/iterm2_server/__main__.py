"""`python -m tests.iterm2_server --home DIR`: iTerm2 as a process of its own."""

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.iterm2_server.application import Application
from tests.iterm2_server.by_hand import ByHand, ByHandServer
from tests.iterm2_server.cadence import FAST_HZ, SLOW_HZ, Cadence
from tests.iterm2_server.handshake import Doorkeeper
from tests.iterm2_server.profiles import Profiles
from tests.iterm2_server.program import reap
from tests.iterm2_server.server import ApiServer

_YEAR_S = 365 * 24 * 3600.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.iterm2_server")
    parser.add_argument("--home", type=Path, required=True, help="HOME of clients and programs; a short path")
    parser.add_argument("--cookie", action="append", default=[], help="one that is good for ever; may be repeated")
    parser.add_argument("--cookie-once", action="append", default=[], help="one for a single use; may be repeated")
    parser.add_argument("--allow-all-apps", action="store_true", help="let in whoever has no cookie")
    parser.add_argument("--api-disabled", action="store_true", help="begin without a socket")
    parser.add_argument("--protocol", default="1.17", help="what X-iTerm2-Protocol-Version says")
    parser.add_argument("--profile", action="append", default=[], help="name of one more profile; may be repeated")
    parser.add_argument("--defaults", type=json.loads, default={}, help="JSON: properties that all profiles have")
    parser.add_argument("--windows", type=int, default=1, help="windows with a shell to begin with")
    parser.add_argument("--undo-close", type=float, default=5.0, help="s in which a tab closed by hand can come back")
    parser.add_argument("--fast", type=float, default=FAST_HZ, help="screen updates a second of what is visible")
    parser.add_argument("--slow", type=float, default=SLOW_HZ, help="screen updates a second of what is hidden or idle")
    parser.add_argument("--leash", action="store_true", help="end when standard input does")
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    home = options.home.resolve()
    os.environ["HOME"] = str(home)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGCHLD, reap)
    if options.leash:
        loop.add_reader(sys.stdin, stop.set)
    application = _application(options)
    doorkeeper = _doorkeeper(options)
    api = ApiServer(home, application, doorkeeper, options.protocol)
    by_hand = ByHandServer(home / "by-hand", ByHand(application, api, doorkeeper, options.undo_close))
    async with await by_hand.serve():
        if not options.api_disabled:
            await api.enable()
        told = {"socket": str(api.path), "by_hand": str(by_hand.path), "pid": os.getpid()}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await api.disable()
        await application.quit(restore=False)
    by_hand.path.unlink(missing_ok=True)


def _application(options: argparse.Namespace) -> Application:
    major, minor = (int(part) for part in options.protocol.split("."))
    profiles = Profiles(options.profile, options.defaults)
    application = Application(profiles, Cadence(options.fast, options.slow, asyncio.get_running_loop()), (major, minor))
    for _ in range(options.windows):
        application.create_tab(profiles.named(""), None, None, select=True)
    return application


def _doorkeeper(options: argparse.Namespace) -> Doorkeeper:
    doorkeeper = Doorkeeper(allows_all=options.allow_all_apps)
    for cookie in options.cookie:
        doorkeeper.cookies.accept(cookie, _YEAR_S)
    for cookie in options.cookie_once:
        doorkeeper.cookies.accept(cookie)
    return doorkeeper


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(run(arguments()))
