"""`semo console`: from the first paint to the operator's leaving."""

import asyncio
import importlib
import os
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from semo_console.app import ConsoleApp
from semo_console.cli.garbage import collect_from_now_on
from semo_console.commands.keymap import Keymap, build_keymap, read_keymap
from semo_console.errors import ConsoleError, KeysRefused
from semo_console.processes import Processes
from semo_console.state.console import ConsoleState
from semo_console.state.memory import Memory, remember, restore
from semo_office.errors import ConfigurationError
from semo_office.locations import StateFolder, config_folder, read_json, write_json

STOP_S: Final = 5.0
TIMING_VARIABLE: Final = "SEMO_CONSOLE_TIMING"
"""Names a file that gets the moment of the first paint, s since the epoch, and the CPU time until then, s."""

_ON_SUPABASE: Final = "SEMO_SUPABASE_URL"


def open_console(state_dir: Path | None) -> None:
    """Show the console until the operator leaves; everything goes on. Raises ConsoleError, OfficeError."""
    state = StateFolder.find(state_dir)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConsoleError("The console needs a terminal. `semo status` and `semo sessions` print what there is.")
    # Settings are read later with the rest of what the office needs: the first paint does not wait for it.
    if not os.environ.get(_ON_SUPABASE) and Processes(state).find("hub") is None:
        raise ConsoleError(f"SEMO does not run here ({state.path}). Start it with `semo up`.")
    app = _build(state)
    asyncio.run(_sit(app, state))


def _build(state: StateFolder) -> ConsoleApp:
    keymap, refused = _keymap()
    beginning, damaged = _remembered(state)
    for complaint in (refused, damaged):
        if complaint is not None:
            beginning = beginning.say(complaint)
    return ConsoleApp(
        beginning, keymap, keep=partial(write_json, state.console_memory), now=lambda: datetime.now(UTC), new_id=uuid4
    )


def _keymap() -> tuple[Keymap, str | None]:
    try:
        return read_keymap(config_folder() / "keys.toml"), None
    except KeysRefused as err:
        return build_keymap(), f"{err}. The built-in keys are used."


def _remembered(state: StateFolder) -> tuple[ConsoleState, str | None]:
    now = datetime.now(UTC)
    if not state.console_memory.exists():
        return restore(Memory(), now), None
    try:
        return restore(read_json(state.console_memory, Memory), now), None
    except ConfigurationError:
        return restore(Memory(), now), "What the console remembered can't be read; it begins anew."


async def _sit(app: ConsoleApp, state: StateFolder) -> None:
    """The app and its way to the office: whichever ends takes the other along."""
    stop = asyncio.Event()
    serving = asyncio.create_task(_serve(app, state, stop), name="office")
    serving.add_done_callback(lambda _: app.exit())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, app.exit)
    try:
        await app.run_async()
    finally:
        stop.set()
        _, late = await asyncio.wait([serving], timeout=STOP_S)
        await asyncio.to_thread(write_json, state.console_memory, remember(app.state))
    if app.failure is not None:
        raise app.failure
    if late:
        serving.cancel()
        await asyncio.wait(late)
    else:
        serving.result()


async def _serve(app: ConsoleApp, state: StateFolder, stop: asyncio.Event) -> None:
    await _either(app.painted, stop)
    if stop.is_set():
        return
    _note_first_paint()
    collect_from_now_on()
    # The libraries of the link take long to load; the keys work meanwhile.
    office = await asyncio.to_thread(importlib.import_module, "semo_console.cli.actions.console_office")
    await office.serve(state, app, stop)


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waits = [asyncio.create_task(each.wait()) for each in (first, second)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


def _note_first_paint() -> None:
    if path := os.environ.get(TIMING_VARIABLE):
        Path(path).write_text(f"{time.time()} {time.process_time()}\n", encoding="utf-8")
