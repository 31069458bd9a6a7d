"""Leave to use iTerm2's API: a cookie that iTerm2 gives to whom macOS lets control it."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from semo_agent.errors import TerminalTimeout
from semo_agent.terminals.iterm2.faults import (
    CookieRefused,
    ITerm2Unavailable,
    NoDesktop,
    NotPermitted,
    NotRunning,
    TooOld,
)

COOKIE_VARIABLE: Final = "ITERM2_COOKIE"
KEY_VARIABLE: Final = "ITERM2_KEY"
ASK_SECONDS: Final = 60.0
"""macOS asks the person at the desk, the first time."""

_SCRIPT: Final = 'tell application "iTerm2" to request cookie and key for app named "SEMO"'
_ERROR: Final = re.compile(r"\((-?\d+)\)\s*$")
_FAULTS: Final[dict[str, type[ITerm2Unavailable]]] = {
    "-1743": NotPermitted,
    "-1744": NotPermitted,
    "-600": NotRunning,
    "-10810": NotRunning,
    "-2740": TooOld,
    "-2741": TooOld,
}
_DESKTOP: Final = "Aqua"


@dataclass(frozen=True, slots=True)
class Cookie:
    """What a connection shows to iTerm2. It is a secret: never in logs, never in the environment of a program."""

    value: str
    key: str

    def __repr__(self) -> str:
        return "Cookie(…)"


@dataclass(frozen=True, slots=True)
class Said:
    """What a program printed, and its exit status."""

    status: int
    out: str
    err: str


Run = Callable[[tuple[str, ...], float], Awaitable[Said]]


async def run_program(argv: tuple[str, ...], seconds: float) -> Said:
    """Run a program to its end. Raises `OSError`, `TimeoutError`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Said(process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def take_cookie(environment: MutableMapping[str, str]) -> Cookie | None:
    """The cookie that iTerm2 gave to the script that started us; it is taken out of the environment."""
    value, key = environment.pop(COOKIE_VARIABLE, ""), environment.pop(KEY_VARIABLE, "")
    return Cookie(value, key) if value else None


async def ask_for_cookie(run: Run = run_program) -> Cookie:
    """Ask iTerm2 by AppleScript; macOS may ask the person at the desk.

    Raises `ITerm2Unavailable`, `TerminalTimeout`.
    """
    try:
        said = await run(("/usr/bin/osascript", "-e", _SCRIPT), ASK_SECONDS)
    except OSError as err:
        raise CookieRefused("there is no osascript to ask for a cookie") from err
    except TimeoutError as err:
        if not await _has_desktop(run):
            raise NoDesktop from err
        raise TerminalTimeout(
            f"Nobody let SEMO control iTerm2 within {ASK_SECONDS:g} s; answer macOS's question."
        ) from err
    words = said.out.split()
    if said.status or len(words) != 2:
        raise await _fault(said, run)
    return Cookie(*words)


async def _fault(said: Said, run: Run) -> ITerm2Unavailable:
    if not await _has_desktop(run):
        return NoDesktop()
    number = _ERROR.search(said.err)
    fault = _FAULTS.get(number[1] if number else "", CookieRefused)
    return fault(f"error {number[1]}" if number and fault is CookieRefused else "")


async def _has_desktop(run: Run) -> bool:
    """Whether this process belongs to a session with windows; where that can't be told, it does."""
    try:
        said = await run(("/bin/launchctl", "managername"), 5.0)
    except (OSError, TimeoutError):
        return True
    return said.status != 0 or said.out.strip() == _DESKTOP


async def runs_iterm2(run: Run = run_program) -> bool:
    """Whether there is a process of iTerm2 of this user."""
    try:
        said = await run(("/bin/ps", "-U", str(os.getuid()), "-o", "comm="), 5.0)
    except (OSError, TimeoutError):
        return False
    return any(Path(line.strip()).name == "iTerm2" for line in said.out.splitlines())


def on_a_mac() -> bool:
    return sys.platform == "darwin"
