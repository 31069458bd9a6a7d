"""What outlives an agent on every terminal, and how tabs end. Ids end in the name of the terminal."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from semo_agent.errors import TabNotFound, TerminalDied, TerminalError
from semo_agent.terminals.base import ExitStatus, Key, LaunchSpec, Size
from tests.integration.terminals.kit import COUNT_UP, ENV, PATIENCE, Kit, Watched, is_alive, texts


async def test_another_agent_goes_on_exactly_where_the_first_stopped(kit: Kit) -> None:
    first = await kit.start()
    tab = await first.python(COUNT_UP, "60000")
    await first.shows(tab, "000")
    await first.stop()
    second = await kit.start()
    assert [found.tab_id for found in await second.terminal.list()] == [tab.tab_id]
    await second.exited(tab)
    rows = await second.everything(tab)
    assert texts(rows)[:60_000] == [str(number) for number in range(60_000)]
    assert [row.number for row in rows] == list(range(len(rows)))


async def test_another_agent_goes_on_exactly_after_a_crash_of_the_first(kit: Kit) -> None:
    first = await kit.start()
    tab = await first.python(COUNT_UP, "60000")
    await first.shows(tab, "000")
    await first.vanish()
    second = await kit.start()
    await second.exited(tab)
    rows = await second.everything(tab)
    assert texts(rows)[:60_000] == [str(number) for number in range(60_000)]
    assert [row.number for row in rows] == list(range(len(rows)))


async def test_another_agent_knows_the_screen_the_modes_and_the_marks(kit: Kit, tmp_path: Path) -> None:
    first = await kit.start()
    tab = await first.receiver(tmp_path / "record")
    before, marks = await first.terminal.screen(tab.tab_id), await first.terminal.marks(tab.tab_id)
    await first.stop()
    second = await kit.start()
    assert await second.terminal.screen(tab.tab_id) == before
    assert before.bracketed_paste
    assert [mark.kind for mark in marks] == ["A", "B"]
    assert await second.terminal.marks(tab.tab_id) == marks


async def test_marks_of_a_time_without_an_agent_are_seen_by_the_next_one(kit: Kit, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    first = await kit.start()
    program = r"""
import pathlib, sys, time
print("up", flush=True)
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
for number in range(20): print(f"\x1b]133;C\x07{number}\n\x1b]133;D;{number}\x07", end="", flush=True)
pathlib.Path(sys.argv[1]).unlink()
time.sleep(600)
"""
    tab = await first.python(program, str(gone))
    await first.shows(tab, "up")
    await first.vanish()
    gone.touch()
    async with asyncio.timeout(PATIENCE):
        while gone.exists():  # noqa: ASYNC110 - the program tells it by a file only
            await asyncio.sleep(0.01)
    second = await kit.start()
    await second.mark(tab, "D", 20)
    seen = [(mark.kind, mark.parameters) for mark in await second.terminal.marks(tab.tab_id)]
    assert [parameters for kind, parameters in seen if kind == "D"] == [str(number) for number in range(20)]


async def test_an_end_while_no_agent_looked_is_told_to_the_next_one(kit: Kit) -> None:
    first = await kit.start()
    tab = await first.open("sh", "-c", "read line; exit 7")
    await first.terminal.write(tab.tab_id, b"go\r")
    await first.stop()
    second = await kit.start()
    assert await second.exited(tab) == ExitStatus(code=7)


async def test_closing_asks_a_program_to_go_first(agent: Watched) -> None:
    tab = await agent.open("sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.05; done")
    await agent.shows(tab, "ready")
    assert await agent.terminal.close(tab.tab_id, grace=10.0) == ExitStatus(code=5)


async def test_a_program_that_ignores_every_request_is_killed(agent: Watched) -> None:
    program = """
import signal
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
while True: signal.pause()
"""
    tab = await agent.python(program)
    await agent.shows(tab, "ready")
    assert await agent.terminal.close(tab.tab_id, grace=0.4) == ExitStatus(signal=signal.SIGKILL)
    assert not is_alive(tab.pid)


async def test_a_foreground_child_that_ignores_the_hangup_is_killed_too(agent: Watched) -> None:
    program = "import os, signal; signal.signal(1, signal.SIG_IGN); print('pid', os.getpid()); signal.pause()"
    tab = await agent.open("bash", "--norc", "-i")
    await agent.terminal.write(tab.tab_id, f'{sys.executable} -uSc "{program}"\r'.encode())

    async def child() -> int | None:
        rows = texts((await agent.terminal.screen(tab.tab_id)).rows)
        found = [row.split()[1] for row in rows if row.startswith("pid ")]
        return int(found[0]) if found else None

    async def started() -> bool:
        return await child() is not None

    await agent.until(started)
    pid = await child()
    assert pid is not None
    await agent.terminal.close(tab.tab_id, grace=0.6)
    assert not is_alive(pid)


async def test_an_unknown_tab_is_named_as_such(agent: Watched) -> None:
    calls = [
        agent.terminal.write("nope", b"x"),
        agent.terminal.paste("nope", "x"),
        agent.terminal.press("nope", Key.ENTER),
        agent.terminal.screen("nope"),
        agent.terminal.lines("nope", 0, 1),
        agent.terminal.marks("nope"),
        agent.terminal.resize("nope", Size()),
        agent.terminal.close("nope"),
    ]
    for call in calls:
        with pytest.raises(TabNotFound):
            await call


async def test_a_terminal_that_was_not_started_says_so(kit: Kit) -> None:
    with pytest.raises(TerminalError, match="not started"):
        await kit.terminal().open(LaunchSpec("t", ("cat",), "/", ENV))


async def test_the_death_of_the_backend_ends_every_tab_and_fails_every_call_on_it(kit: Kit, agent: Watched) -> None:
    tabs = [await agent.open("cat", tag=str(number)) for number in range(2)]
    await kit.kill_backend()
    for tab in tabs:
        assert await agent.exited(tab) == kit.death
    assert [found.exit for found in await agent.terminal.list()] == [kit.death, kit.death]
    calls = [
        agent.terminal.write(tabs[0].tab_id, b"x"),
        agent.terminal.paste(tabs[0].tab_id, "x"),
        agent.terminal.press(tabs[0].tab_id, Key.ENTER),
        agent.terminal.screen(tabs[0].tab_id),
        agent.terminal.lines(tabs[0].tab_id, 0, 1),
        agent.terminal.marks(tabs[0].tab_id),
        agent.terminal.resize(tabs[0].tab_id, Size()),
    ]
    for call in calls:
        with pytest.raises(TerminalDied):
            await call


async def test_after_the_death_of_the_backend_a_new_tab_works_and_the_dead_stay_dead(kit: Kit, agent: Watched) -> None:
    dead = await agent.open("cat", tag="dead")
    await kit.kill_backend()
    await agent.exited(dead)
    alive = await agent.open("cat", tag="alive")
    await agent.terminal.write(alive.tab_id, b"hello\r")
    await agent.shows(alive, "hello")
    assert {tab.tag: tab.exit for tab in await agent.terminal.list()} == {"dead": kit.death, "alive": None}
    with pytest.raises(TerminalDied):
        await agent.terminal.write(dead.tab_id, b"x")
    assert await agent.terminal.close(dead.tab_id) == kit.death
    assert [tab.tag for tab in await agent.terminal.list()] == ["alive"]
    assert await agent.terminal.close(alive.tab_id) == ExitStatus(signal=signal.SIGHUP)
    assert list(await agent.terminal.list()) == []
