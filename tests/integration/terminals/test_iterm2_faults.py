"""Why iTerm2 can't be used, told apart; and a connection that is lost, silent or refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import iterm2 as library
import pytest
from iterm2 import rpc

from semo_agent.errors import ConfigurationError, TerminalDied, TerminalTimeout
from semo_agent.terminals.choice import TerminalChoice, choose_terminal
from semo_agent.terminals.iterm2.connection import ITerm2Connection, api_socket
from semo_agent.terminals.iterm2.cookie import Run, Said, ask_for_cookie
from semo_agent.terminals.iterm2.faults import (
    ApiDisabled,
    CookieRefused,
    ITerm2Unavailable,
    NoDesktop,
    NotPermitted,
    NotRunning,
    TooOld,
)
from tests.iterm2_server.running import COOKIE, RunningITerm2


def machine(*, osascript: Said | None = None, processes: str = "", session: str = "Aqua") -> Run:
    """What programs of a Mac say."""
    said = {"osascript": osascript, "ps": Said(0, processes, ""), "launchctl": Said(0, session, "")}

    async def run(argv: tuple[str, ...], _seconds: float) -> Said:
        answer = said[Path(argv[0]).name]
        if answer is None:
            raise FileNotFoundError(argv[0])
        return answer

    return run


def refusal(number: int) -> Said:
    return Said(1, "", f"30:76: execution error: iTerm got an error: words ({number})\n")


@pytest.fixture
def at_home(iterm2: RunningITerm2, monkeypatch: pytest.MonkeyPatch) -> RunningITerm2:
    for name, value in iterm2.environment.items():
        monkeypatch.setenv(name, value)
    return iterm2


@pytest.fixture
async def connect(at_home: RunningITerm2) -> AsyncIterator[Callable[..., ITerm2Connection]]:
    made: list[ITerm2Connection] = []

    def make(run: Run | None = None, timeout: float = 5.0) -> ITerm2Connection:
        made.append(ITerm2Connection(run=run or machine(), timeout=timeout))
        return made[-1]

    yield make
    for connection in made:
        await connection.close()


Connect = Callable[..., ITerm2Connection]


async def test_an_iterm2_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotRunning, match="start it"):
        await ITerm2Connection(run=machine(processes="/sbin/launchd\n")).connect()


async def test_a_socket_that_a_dead_iterm2_left_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with RunningITerm2.start() as running:
        monkeypatch.setenv("HOME", str(running.home))
        running.kill()
        assert api_socket().exists()
        with pytest.raises(NotRunning):
            await ITerm2Connection(run=machine()).connect()
        running.launch()


async def test_an_api_that_is_off_is_told_from_an_iterm2_that_does_not_run(
    at_home: RunningITerm2, connect: Connect
) -> None:
    at_home.by_hand("disable_api")
    try:
        with pytest.raises(ApiDisabled, match="Enable Python API"):
            await connect(machine(processes="/Applications/iTerm.app/Contents/MacOS/iTerm2\n")).connect()
    finally:
        at_home.by_hand("enable_api")


async def test_a_cookie_that_was_used_up_is_replaced_once(
    at_home: RunningITerm2, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITERM2_COOKIE", "used up")
    connection = connect(machine(osascript=Said(0, f"{COOKIE} a-key\n", "")))
    await connection.connect()
    at_home.by_hand("refuse_cookies")
    at_home.by_hand("drop_connections")
    try:
        with pytest.raises(CookieRefused):
            await connection.again(rpc.async_list_sessions)
    finally:
        at_home.by_hand("refuse_cookies", refused=False)
    await connection.again(rpc.async_list_sessions)


@pytest.mark.parametrize(
    ("said", "session", "fault"),
    [
        (refusal(-1743), "Aqua", NotPermitted),
        (refusal(-600), "Aqua", NotRunning),
        (refusal(-2741), "Aqua", TooOld),
        (refusal(-9999), "Aqua", CookieRefused),
        (refusal(-1743), "Background", NoDesktop),
        (refusal(-10810), "StandardIO", NoDesktop),
        (None, "Aqua", CookieRefused),
    ],
)
async def test_a_refused_cookie_says_who_refused(
    said: Said | None, session: str, fault: type[ITerm2Unavailable]
) -> None:
    with pytest.raises(fault) as refused:
        await ask_for_cookie(machine(osascript=said, session=session))
    assert type(refused.value) is fault


def test_every_fault_is_one_sentence_that_says_what_to_do() -> None:
    sentences = [str(fault()) for fault in ITerm2Unavailable.__subclasses__()]
    assert len(set(sentences)) == 7
    assert all(sentence.count(".") - sentence.count(". ") >= 1 and "\n" not in sentence for sentence in sentences)
    assert "semo agent install" in str(NoDesktop())


async def test_a_library_that_iterm2_finds_too_old_does_not_end_the_process(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.connection, "__version__", "0.23")
    with pytest.raises(TooOld):
        await connect().connect()


async def test_an_iterm2_that_speaks_an_older_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with RunningITerm2.start("--protocol", "0.9") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(TooOld):
            await ITerm2Connection(run=machine()).connect()


async def test_a_call_on_a_connection_that_breaks_fails_at_once(at_home: RunningITerm2, connect: Connect) -> None:
    connection = connect()
    await connection.connect()
    at_home.by_hand("freeze")
    try:
        calling = asyncio.create_task(connection.call(rpc.async_list_sessions))
        began = time.monotonic()
        await asyncio.to_thread(at_home.by_hand, "drop_connections")
        with pytest.raises(TerminalDied, match="lost"):
            await calling
        assert time.monotonic() - began < 3
    finally:
        at_home.by_hand("thaw")


async def test_a_call_that_is_never_answered_times_out_and_the_next_one_works(
    at_home: RunningITerm2, connect: Connect
) -> None:
    connection = connect(timeout=0.3)
    await connection.connect()
    at_home.by_hand("freeze")
    with pytest.raises(TerminalTimeout, match="did not answer"):
        await connection.call(rpc.async_list_sessions)
    at_home.by_hand("thaw")
    assert (await connection.call(rpc.async_list_sessions)).list_sessions_response.windows


async def test_a_lost_connection_is_made_again_when_something_is_asked(
    at_home: RunningITerm2, connect: Connect
) -> None:
    connection = connect()
    await connection.connect()
    at_home.by_hand("restart_api")
    assert (await connection.again(rpc.async_list_sessions)).list_sessions_response.windows
    assert at_home.by_hand("connections") == 1


async def test_a_choice_that_can_not_be_had_is_refused_with_its_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="iTerm2 does not run; start it"):
        await choose_terminal(folder, TerminalChoice.ITERM2)


async def test_auto_says_why_it_is_not_iterm2(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    terminal = await choose_terminal(folder, TerminalChoice.AUTO, on_a_mac=True)
    assert terminal.name == "tmux"
    assert terminal.why.startswith("tmux is installed; iTerm2 does not run")
