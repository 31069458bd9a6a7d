"""`make screenshots`: pictures of the console over a real office, as SVG and PNG. PNG needs a font with Hangul."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import resvg_py
from textual.pilot import Pilot

from semo_console.app import ConsoleApp
from semo_console.cli.actions.console_office import serve
from semo_console.commands.keymap import build_keymap
from semo_console.state.memory import Memory, restore
from semo_office.locations import StateFolder
from semo_office.models import SessionStatus
from tests.acceptance.jobs import add, await_status
from tests.acceptance.machine import Machine, eventually, new_machine
from tests.snapshot.picture import picture_of

FOLDER: Final = Path(__file__).parents[2] / "screenshots"
MONOSPACE: Final = "DejaVu Sans Mono"
PATIENCE_S: Final = 30.0

BASHRC: Final = r"PS1='\[\e[32m\]shop\[\e[0m\]:\[\e[34m\]\W\[\e[0m\]\$ '"
TESTS: Final = (
    r"for t in cart login 결제 배송; do printf '\e[1mtests/%s\e[0m \e[32m%s passed\e[0m\n' $t $((40 + RANDOM % 9));"
    r" done; printf '\e[41m 3 failed \e[0m 장바구니 합계가 다릅니다\n'; read -t 600 x"
)
DIFF: Final = (
    r"printf '%s\n' 'diff --git a/client.py b/client.py'; printf '\e[31m-    r = v1.charge(cart)\e[0m\n';"
    r" printf '\e[32m+    r = v2.charge(cart, key)\e[0m\n'"
)


def main() -> None:
    with new_machine() as machine:
        machine.server = True
        (machine.path / "home" / ".bashrc").write_text(BASHRC)
        machine.up()
        _furnish(machine)
        asyncio.run(_draw_all(machine))


def _furnish(machine: Machine) -> None:
    """Sessions in several states, with something on their screens, and jobs."""
    for role, prompt in (
        ("FE", DIFF),
        ("문서", "echo 안녕하세요"),
        ("BE", "echo it's"),
        ("QA", TESTS),
        ("DO", "exit 3"),
    ):
        session = machine.new_session(role=role)
        machine.send(session, prompt, wait=0)
        if role == "BE":
            machine.await_status(session, SessionStatus.WAITING_INPUT)
    eventually(lambda: any(status == "executing" for _, status in machine.live_sessions()), "one works")
    built = add(machine, "Build", "echo built", role="FE")
    await_status(machine, built, "done")
    add(machine, "Release", "echo released", add(machine, "Review", "false", role="FE"), role="FE")


async def _draw_all(machine: Machine) -> None:
    two_panes = ("plus", "g", "e", "p", "w")
    await _draw(machine, "console", (120, 40), lambda pilot: pilot.press(*two_panes), "it's", "3 failed")
    await _draw(machine, "answer", (120, 40), lambda pilot: pilot.press("w", "a"), "it's")
    await _draw(machine, "board", (120, 40), lambda pilot: pilot.press("w", "left_curly_bracket", "j"), "attempt")
    await _draw(machine, "narrow", (80, 24), lambda pilot: pilot.press("w"), "it's")


async def _draw(
    machine: Machine, name: str, size: tuple[int, int], act: Callable[[Pilot[None]], Awaitable[None]], *seen: str
) -> None:
    """`seen`: what has to stand on it before it is drawn."""
    app = ConsoleApp(
        restore(Memory(), datetime.now(UTC)),
        build_keymap(),
        keep=lambda _memory: None,
        now=lambda: datetime.now(UTC),
        new_id=uuid4,
    )
    stop = asyncio.Event()
    async with app.run_test(size=size) as pilot:
        office = asyncio.create_task(serve(StateFolder(machine.state), app, stop), name="office")
        await _until(pilot, app, "LIVE", "asks")
        await act(pilot)
        await _until(pilot, app, *seen)
        _write(name, _without_scratch_folder(picture_of(app, title="semo"), str(machine.repository)))
        stop.set()
        await office


async def _until(pilot: Pilot[Any], app: ConsoleApp, *texts: str) -> None:
    """Until the screen shows all of them."""
    async with asyncio.timeout(PATIENCE_S):
        while any(text not in picture_of(app).replace("&#160;", " ").replace("&#x27;", "'") for text in texts):
            await pilot.pause(0.2)


def _without_scratch_folder(svg: str, folder: str) -> str:
    """The office's folder under a name that a reader may have; nothing moves."""
    return svg.replace(folder, "~/src/shop" + "&#160;" * (len(folder) - len("~/src/shop")))


def _write(name: str, svg: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")
    png = resvg_py.svg_to_bytes(svg_string=svg, monospace_family=MONOSPACE)
    (FOLDER / f"{name}.png").write_bytes(bytes(png))
    sys.stdout.write(f"{FOLDER.name}/{name}.svg and .png\n")


if __name__ == "__main__":
    main()
