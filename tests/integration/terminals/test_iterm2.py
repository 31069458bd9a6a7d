"""What only the iTerm2 terminal does."""

import asyncio
import hashlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from iterm2 import rpc

from semo_agent.errors import LaunchFailed, TerminalTimeout
from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import VERSION
from semo_agent.holder.viewed import VIEWER_LOST
from semo_agent.terminals.base import ExitStatus, Key, LaunchSpec, Position, Size
from semo_agent.terminals.choice import TerminalChoice, choose_terminal
from semo_agent.terminals.iterm2 import terminal as module
from semo_agent.terminals.iterm2.link import HolderLink
from semo_agent.terminals.iterm2.terminal import ITerm2Terminal
from semo_agent.terminals.iterm2.viewer import ITERM2_DIED, TAB_CLOSED
from tests.integration.terminals.kit import ENV, PATIENCE, ITerm2Kit, Watched, is_alive, processes_of, texts
from tests.iterm2_server.running import RunningITerm2

SIZES = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
while True:
    print("%dx%d" % os.get_terminal_size(), flush=True)
    signal.sigwait([signal.SIGWINCH])
"""


@pytest.fixture
async def kit(folder: Path, iterm2: RunningITerm2, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ITerm2Kit]:
    for name, value in iterm2.environment.items():
        monkeypatch.setenv(name, value)
    made = ITerm2Kit(folder, iterm2)
    yield made
    await made.tidy()


@pytest.fixture
async def agent(kit: ITerm2Kit) -> Watched:
    return await kit.start()


async def session_of(kit: ITerm2Kit) -> str:
    [session] = await kit.sessions()
    return session


async def screen_in_iterm2(kit: ITerm2Kit, session: str) -> list[str]:
    rows: list[str] = (await kit.by_hand("look", session=session))["screen"]
    return [row.rstrip() for row in rows]


async def until(what: str, check: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only a look can tell."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await check():  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError as err:
        raise AssertionError(f"not in time: {what}") from err


async def until_iterm2_shows(kit: ITerm2Kit, session: str, text: str) -> list[str]:
    async def shows() -> bool:
        return any(text in row for row in await screen_in_iterm2(kit, session))

    await until(f"iTerm2 shows {text!r}", shows)
    return await screen_in_iterm2(kit, session)


async def until_gone(pid: int) -> None:
    async def gone() -> bool:
        return not is_alive(pid)

    await until("the process is gone", gone)


async def test_what_iterm2_shows_is_what_the_program_printed(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.python(r"print('한글|🎉|\x1b[1;32mgreen\x1b[0m|', flush=True); input()")
    shown = await until_iterm2_shows(kit, await session_of(kit), "green")
    assert shown == texts((await agent.shows(tab, "green")).rows)


async def test_a_restart_of_the_api_in_the_middle_of_a_prompt_loses_nothing(
    agent: Watched, kit: ITerm2Kit, tmp_path: Path
) -> None:
    tab = await agent.receiver(tmp_path / "record", "--unbracketed")
    text = "한글 " * 2000
    await agent.terminal.write(tab.tab_id, text.encode())
    await kit.by_hand("restart_api")
    await agent.terminal.write(tab.tab_id, text.encode())
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [entry["sha256"] for entry in entries if "prompt" in entry] == [
        hashlib.sha256(text.encode() * 2).hexdigest()
    ]
    # On a connection of its own again.
    assert (await agent.open("true", tag="another")).tag == "another"


async def test_a_tab_works_while_the_api_is_off(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("cat")
    await kit.by_hand("disable_api")
    try:
        await agent.terminal.write(tab.tab_id, b"hello\r")
        await agent.shows(tab, "hello")
        assert await agent.terminal.close(tab.tab_id) == ExitStatus(signal=signal.SIGHUP)
    finally:
        await kit.by_hand("enable_api")


async def test_a_tab_that_is_closed_by_hand_ends_its_program_and_says_so(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("cat")
    await kit.by_hand("close_tab", session=await session_of(kit), undo=0.0)
    assert await agent.exited(tab) == ExitStatus(signal=signal.SIGHUP, reason=TAB_CLOSED)
    assert not is_alive(tab.pid)
    assert (await agent.terminal.list())[0].exit == ExitStatus(signal=signal.SIGHUP, reason=TAB_CLOSED)


async def test_a_session_that_is_restarted_by_hand_ends_and_its_tab_can_be_closed(
    agent: Watched, kit: ITerm2Kit
) -> None:
    tab = await agent.open("cat")
    before = await session_of(kit)
    await kit.by_hand("restart_session", session=before)
    assert await agent.exited(tab) == ExitStatus(reason=VIEWER_LOST)
    after = await session_of(kit)
    assert after != before
    await until_iterm2_shows(kit, after, "SEMO has no session for this tab")
    await agent.terminal.close(tab.tab_id)
    assert await kit.sessions() == []


async def test_a_scrollback_that_is_cleared_by_hand_takes_nothing_from_the_log(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.python("print(*range(100), sep='\\n', flush=True); input(); print('after'); input()")
    await agent.shows(tab, "99")
    await kit.by_hand("clear_scrollback", session=await session_of(kit))
    await agent.terminal.write(tab.tab_id, b"\r")
    await agent.shows(tab, "after")
    rows = texts(await agent.everything(tab))
    assert rows[:102] == [*map(str, range(100)), "", "after"]


async def test_a_window_that_is_resized_by_hand_resizes_its_program(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.python(SIZES)
    await agent.shows(tab, "80x24")
    await kit.by_hand("resize_window", session=await session_of(kit), columns=99, rows=33)
    screen = await agent.shows(tab, "99x33")
    assert screen.size == Size(99, 33)
    assert (await agent.terminal.list())[0].size == Size(99, 33)


async def test_another_agent_knows_a_size_that_was_given_while_none_looked(kit: ITerm2Kit) -> None:
    first = await kit.start()
    tab = await first.python(SIZES)
    await first.shows(tab, "80x24")
    await first.stop()
    await kit.by_hand("resize_window", session=await session_of(kit), columns=99, rows=33)
    second = await kit.start()
    assert (await second.shows(tab, "99x33")).size == Size(99, 33)


async def test_a_hidden_tab_is_read_at_once(agent: Watched, kit: ITerm2Kit, tmp_path: Path) -> None:
    tab = await agent.receiver(tmp_path / "record")
    await kit.by_hand("hide_window", session=await session_of(kit))
    began = asyncio.get_running_loop().time()
    await agent.terminal.paste(tab.tab_id, "hello")
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    # iTerm2 itself tells of a hidden tab once a second.
    assert asyncio.get_running_loop().time() - began < 0.9


async def test_what_a_person_types_in_the_tab_reaches_the_program(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("cat")
    await kit.by_hand("type", session=await session_of(kit), text="직접 쓴 글\r")
    await agent.shows(tab, "직접 쓴 글")


async def test_a_long_text_that_a_person_pastes_reaches_a_slow_program_whole(
    agent: Watched, kit: ITerm2Kit, tmp_path: Path
) -> None:
    tab = await agent.receiver(tmp_path / "record", "--unbracketed", "--slow-read")
    session, piece = await session_of(kit), "한글" * 3000
    for _ in range(10):
        await kit.by_hand("type", session=session, text=piece)
    await kit.by_hand("type", session=session, text="\r")
    text = piece * 10
    await agent.mark(tab, "D")
    entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [entry["sha256"] for entry in entries if "prompt" in entry] == [hashlib.sha256(text.encode()).hexdigest()]


async def test_a_ctrl_c_by_hand_ends_the_program_and_not_its_tab(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("yes")
    await agent.shows(tab, "y")
    await kit.by_hand("type", session=await session_of(kit), text="\x03")
    assert await agent.exited(tab) == ExitStatus(signal=signal.SIGINT)
    assert len(await kit.sessions()) == 1


async def test_what_a_program_asks_its_terminal_is_answered_once(agent: Watched) -> None:
    program = r"""
import os, select, tty
tty.setraw(0)
os.write(1, b"\x1b[6n")
answer = b""
while select.select([0], [], [], 1.0)[0]: answer += os.read(0, 99)
os.write(1, b"answered " + answer.hex().encode())
os.read(0, 1)
"""
    tab = await agent.python(program)
    await agent.shows(tab, "answered " + b"\x1b[1;1R".hex())


async def test_our_tabs_share_a_window_and_another_one_is_not_selected(agent: Watched, kit: ITerm2Kit) -> None:
    assert isinstance(agent.terminal, ITerm2Terminal)
    api = agent.terminal._connection

    async def our_window() -> tuple[int, str]:
        """How many tabs it has, and which one is selected."""
        listed = (await api.call(rpc.async_list_sessions)).list_sessions_response.windows
        ours = set(await kit.sessions())
        [window] = [window for window in listed if ours & {tab.active_session_id for tab in window.tabs}]
        return len(window.tabs), window.selected_tab_id

    await agent.open("cat", tag="0")
    _, selected = await our_window()
    for number in (1, 2):
        await agent.open("cat", tag=str(number))
    assert selected
    assert await our_window() == (3, selected)


async def test_a_tab_that_was_not_tagged_in_time_is_known_by_its_id(kit: ITerm2Kit) -> None:
    first = await kit.start()
    tab = await first.open("cat")
    session = await session_of(kit)
    assert isinstance(first.terminal, ITerm2Terminal)
    untag = [("user.semo", "null")]
    await first.terminal._connection.call(lambda api: rpc.async_variable(api, session, sets=untag))
    assert await kit.sessions() == []
    await first.vanish()
    second = await kit.start()
    assert await kit.sessions() == [session]
    await second.terminal.close(tab.tab_id)
    assert await kit.sessions() == []


async def test_the_tabs_of_a_holder_that_died_are_closed(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("cat")
    os.kill(await kit.holder_pid(), signal.SIGKILL)
    assert await agent.exited(tab) == ExitStatus(reason="holder died")

    async def closed() -> bool:
        return await kit.sessions() == []

    await until("the tab is closed", closed)
    await until_gone(tab.pid)


async def test_tabs_that_nobody_knows_any_more_are_closed_at_the_next_start(kit: ITerm2Kit) -> None:
    first = await kit.start()
    await first.open("cat")
    await first.vanish()
    os.kill(await kit.holder_pid(), signal.SIGKILL)
    assert len(await kit.sessions()) == 1
    await kit.start()
    assert await kit.sessions() == []


async def test_a_death_of_iterm2_that_no_agent_saw_is_told_to_the_next_one(kit: ITerm2Kit) -> None:
    first = await kit.start()
    tab = await first.open("cat")
    await first.stop()
    await kit.kill_backend()
    second = await kit.start()
    assert await second.exited(tab) == ExitStatus(reason=ITERM2_DIED)
    assert await second.terminal.close(tab.tab_id) == ExitStatus(reason=ITERM2_DIED)


async def test_a_viewer_that_is_killed_ends_its_program(agent: Watched, kit: ITerm2Kit) -> None:
    tab = await agent.open("cat")
    [viewer] = [
        pid for pid, words in (await asyncio.to_thread(processes_of, kit.folder)).items() if tab.tab_id in words
    ]
    os.kill(viewer, signal.SIGKILL)
    assert await agent.exited(tab) == ExitStatus(reason=VIEWER_LOST)
    await until_gone(tab.pid)


async def test_nothing_of_a_program_is_in_the_words_or_environment_of_other_processes(
    agent: Watched, kit: ITerm2Kit
) -> None:
    secret = "word-of-the-program"
    env = {**ENV, "TOKEN": secret}
    tab = await agent.terminal.open(LaunchSpec("t", ("sleep", "600"), "/", env, Size(80, 24)))
    told = await asyncio.to_thread(told_by_processes, secret)
    assert told == {tab.pid}
    assert "ITERM2_COOKIE" not in os.environ


async def test_a_viewer_that_dies_while_it_starts_its_program_fails_the_launch_at_once(kit: ITerm2Kit) -> None:
    await kit.start()
    words: dict[str, Any] = {"argv": ["cat"], "cwd": "/", "env": {}}

    def begin_and_die() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(socket_path(kit.folder)))
            viewer = HolderLink(connection)
            viewer.request("hello", version=VERSION)
            assert viewer.request("words", tab="tab").items() >= words.items()

    async with kit.client() as client:
        fields = {"tab": "tab", "kind": "iterm2", "tag": "t", **words}
        expecting = asyncio.create_task(client.request("expect", timeout=PATIENCE, **fields))
        await client.request("list")
        await asyncio.to_thread(begin_and_die)
        with pytest.raises(LaunchFailed, match="Its tab was closed while it started"):
            await expecting


async def test_a_tab_whose_program_never_starts_says_what_it_shows(
    kit: ITerm2Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAUNCH_SECONDS", 1.0)
    monkeypatch.setattr(ITerm2Terminal, "_command", lambda _self, _tab: "/bin/sh -c 'echo no such python'")
    agent = await kit.start()
    with pytest.raises(TerminalTimeout, match=r"did not start in iTerm2\. Its tab shows: no such python"):
        await agent.open("cat")
    assert await kit.sessions() == []


async def test_auto_on_a_mac_is_iterm2_where_it_answers(kit: ITerm2Kit) -> None:
    terminal = await choose_terminal(kit.folder, TerminalChoice.AUTO, on_a_mac=True)
    assert (terminal.name, terminal.why) == ("iterm2", "iTerm2 answers")
    await terminal.stop()


async def test_auto_stays_with_iterm2_where_a_session_lives_though_it_does_not_answer(kit: ITerm2Kit) -> None:
    agent = await kit.start()
    tab = await agent.open("cat")
    await agent.stop()
    await kit.by_hand("disable_api")
    try:
        terminal = await choose_terminal(kit.folder, TerminalChoice.AUTO)
        assert (terminal.name, terminal.why) == ("iterm2", "1 session lives there")
        second = await kit.start()
        await second.terminal.write(tab.tab_id, b"hello\r")
        await second.shows(tab, "hello")
    finally:
        await kit.by_hand("enable_api")


def told_by_processes(text: str) -> set[int]:
    """The processes with a text in their words or environment."""
    return set(processes_of(Path(text)))


async def test_the_names_of_the_specification_do_what_they_say(kit: ITerm2Kit) -> None:
    agent = await kit.start()
    terminal = agent.terminal
    assert isinstance(terminal, ITerm2Terminal)
    tab = await terminal.create_tab(LaunchSpec("t", ("cat",), "/", ENV, Size(80, 24)))
    begin = Position(0, 0)
    await terminal.send_text(tab.tab_id, "한글")
    await terminal.send_keystrokes(tab.tab_id, Key.ENTER)
    screen = await agent.shows(tab, "한글")
    excerpt = await terminal.get_output(tab.tab_id, begin, Position(screen.epoch, screen.base + 1))
    assert excerpt.text == "한글"
    assert await terminal.close_tab(tab.tab_id) == ExitStatus(signal=signal.SIGHUP)
    assert await kit.sessions() == []
