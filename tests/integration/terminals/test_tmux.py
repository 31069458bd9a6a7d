"""What only the tmux terminal does."""

import asyncio
import os
import pty
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from semo_agent.errors import ConfigurationError, TerminalError, TerminalTimeout
from semo_agent.holder.tab import WINDOW
from semo_agent.terminals.base import ExitStatus, LaunchSpec, Size
from semo_agent.terminals.choice import TerminalChoice, choose_terminal
from semo_agent.terminals.tmux.control import quoted
from semo_agent.terminals.tmux.server import TmuxServer, usable_tmux
from semo_agent.terminals.tmux.terminal import TmuxTerminal
from semo_console.cli.actions.tmux import end_tmux
from tests.integration.terminals.kit import ENV, PATIENCE, PtyKit, TmuxKit, Watched, is_alive, texts

MEGABYTE = 1024 * 1024


@pytest.fixture
async def kit(folder: Path) -> AsyncIterator[TmuxKit]:
    made = TmuxKit(folder)
    yield made
    await made.tidy()


@pytest.fixture
async def agent(kit: TmuxKit) -> Watched:
    return await kit.start()


def memory_of(pid: int) -> int:
    """Bytes that a process has in memory."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


async def server_pid(kit: TmuxKit) -> int:
    return int(await kit.tmux("display-message", "-p", "#{pid}"))


async def until(what: str, check: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only a look can tell."""
    async with asyncio.timeout(PATIENCE):
        while not await check():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


async def test_a_flood_that_nobody_acknowledges_stops_its_program_and_grows_nothing(kit: TmuxKit) -> None:
    agent = await kit.start()
    tab = await agent.open("sh", "-c", "read line; exec yes")
    await agent.terminal.write(tab.tab_id, b"go\r")
    await agent.vanish()
    async with kit.client() as client:
        await client.request("attach", tab=tab.tab_id, offset=0)

        async def ends() -> tuple[int, int]:
            described = (await client.request("list"))["tabs"][0]
            return described["start"], described["end"]

        async def is_stopped() -> bool:
            _, before = await ends()
            await asyncio.sleep(0.5)
            return (await ends())[1] == before >= WINDOW

        await until("the flood stands still", is_stopped)
        start, end = await ends()
        assert end - start < 2 * WINDOW
        server, holder = await server_pid(kit), await kit.holder_pid()
        assert memory_of(server) < 60 * MEGABYTE
        assert memory_of(holder) < 60 * MEGABYTE
        # What was read lets it go on.
        await client.request("ack", tab=tab.tab_id, offset=end)

        async def goes_on() -> bool:
            return (await ends())[1] > end + MEGABYTE

        await until("the flood goes on", goes_on)


async def test_a_flood_without_an_agent_grows_nothing(kit: TmuxKit) -> None:
    agent = await kit.start()
    await agent.open("yes", "x" * 79)
    await agent.vanish()
    server, holder = await server_pid(kit), await kit.holder_pid()

    async def much_has_come() -> bool:
        async with kit.client() as client:
            return int((await client.request("list"))["tabs"][0]["end"]) > 14 * MEGABYTE

    await until("much has come", much_has_come)
    assert memory_of(server) < 60 * MEGABYTE
    assert memory_of(holder) < 60 * MEGABYTE


async def test_a_person_who_attaches_disturbs_neither_size_nor_output(agent: Watched, kit: TmuxKit) -> None:
    program = "input(); [print(number) for number in range(60_000)]; import os; print(os.get_terminal_size()); input()"
    tab = await agent.python(program, size=Size(100, 30))
    master, slave = pty.openpty()
    socket = str(TmuxServer(kit.folder).socket)
    person = await asyncio.create_subprocess_exec(
        *("tmux", "-S", socket, "attach"), env={**ENV, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    drawing = asyncio.create_task(asyncio.to_thread(drain, master))

    async def attached() -> bool:
        return "xterm" in await kit.tmux("list-clients", "-F", "#{client_termname}")

    await until("a person is attached", attached)
    await kit.tmux("select-window", "-t", f"=semo:={tab.tab_id}")
    await agent.terminal.write(tab.tab_id, b"\r")
    screen = await agent.shows(tab, "os.terminal_size(columns=100, lines=30)")
    assert screen.size == Size(100, 30)
    numbers = [text for text in texts(await agent.everything(tab)) if text.isdecimal()]
    assert numbers == [str(number) for number in range(60_000)]
    person.terminate()
    await person.wait()
    os.close(master)
    await drawing


def drain(master: int) -> None:
    try:
        while os.read(master, 65536):
            pass
    except OSError:
        return


async def test_text_reaches_a_program_that_a_person_reads_back(agent: Watched, kit: TmuxKit) -> None:
    tab = await agent.open("cat")
    await kit.tmux("copy-mode", "-t", f"=semo:={tab.tab_id}")
    await agent.terminal.write(tab.tab_id, b"quite all\r")
    await agent.shows(tab, "quite all")


async def test_an_agent_that_a_person_detached_goes_on(agent: Watched, kit: TmuxKit) -> None:
    tab = await agent.open("sh", "-c", "read line; exit 4")
    assert isinstance(agent.terminal, TmuxTerminal)
    control = agent.terminal._server._control
    assert control is not None
    await kit.tmux("detach-client", "-s", "semo")
    async with asyncio.timeout(PATIENCE):
        await control.closed.wait()
    await agent.terminal.write(tab.tab_id, b"x\r")
    assert await agent.exited(tab) == ExitStatus(code=4)


async def test_a_window_that_a_person_closed_is_told(agent: Watched, kit: TmuxKit) -> None:
    tab = await agent.open("cat")
    await kit.tmux("kill-window", "-t", f"=semo:={tab.tab_id}")
    assert await agent.exited(tab) == ExitStatus(reason="its window was closed")
    assert await agent.terminal.close(tab.tab_id) == ExitStatus(reason="its window was closed")


async def test_the_death_of_the_holder_ends_the_tabs_and_their_programs(agent: Watched, kit: TmuxKit) -> None:
    tab = await agent.open("cat")
    os.kill(await kit.holder_pid(), signal.SIGKILL)
    assert await agent.exited(tab) == ExitStatus(reason="holder died")

    async def ended() -> bool:
        return not is_alive(tab.pid)

    await until("the program has ended", ended)
    again = await agent.open("cat", tag="again")
    await agent.terminal.write(again.tab_id, b"works\r")
    await agent.shows(again, "works")


async def test_a_death_of_tmux_while_no_agent_looked_is_told_to_the_next_one(kit: TmuxKit) -> None:
    first = await kit.start()
    tab = await first.open("sh", "-c", "echo last words; cat")
    await first.shows(tab, "last words")
    await first.stop()
    await kit.kill_backend()
    second = await kit.start()
    assert await second.exited(tab) == ExitStatus(reason="tmux died")
    assert [found.exit for found in await second.terminal.list()] == [ExitStatus(reason="tmux died")]
    assert await second.terminal.close(tab.tab_id) == ExitStatus(reason="tmux died")
    assert list(await second.terminal.list()) == []


async def test_tmux_ends_with_the_last_agent_when_no_tab_is_open(kit: TmuxKit) -> None:
    first = await kit.start()
    await first.terminal.close((await first.open("cat")).tab_id)
    server = await server_pid(kit)
    await first.stop()
    await until("tmux has ended", lambda: has_ended(server))


async def test_a_client_that_a_killed_agent_left_is_ended_by_the_next_one(kit: TmuxKit) -> None:
    first = await kit.start()
    await first.open("cat")
    client = await client_of_a_killed_agent(kit)
    await first.vanish()
    await kit.start()
    assert await asyncio.to_thread(client.wait, PATIENCE) == -signal.SIGKILL


async def test_a_server_that_waits_for_a_client_of_a_killed_agent_is_replaced(kit: TmuxKit) -> None:
    first = await kit.start()
    client, server = await client_of_a_killed_agent(kit), await server_pid(kit)
    await first.stop()
    second = await kit.start()
    await second.open("cat")
    assert not is_alive(server)
    await asyncio.to_thread(client.wait, PATIENCE)


async def test_a_server_that_waits_for_a_client_of_a_killed_agent_can_be_ended(kit: TmuxKit) -> None:
    first = await kit.start()
    client, server = await client_of_a_killed_agent(kit), await server_pid(kit)
    await first.stop()
    await asyncio.to_thread(end_tmux, kit.folder)
    assert not is_alive(server)
    await asyncio.to_thread(client.wait, PATIENCE)


async def client_of_a_killed_agent(kit: TmuxKit) -> subprocess.Popen[bytes]:
    """A client whose last reply nobody will ever read."""
    return await asyncio.to_thread(leave_client, str(TmuxServer(kit.folder).socket))


def leave_client(socket: str) -> subprocess.Popen[bytes]:
    command = ["tmux", "-S", socket, "-C", "attach-session", "-f", "no-output"]
    client = subprocess.Popen(command, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"list-keys\n" * 20)
    client.stdin.flush()
    client.stdout.readline()
    client.stdout.close()
    client.stdin.close()
    return client


async def has_ended(pid: int) -> bool:
    return not is_alive(pid)


async def test_tmux_stays_for_an_open_tab(kit: TmuxKit) -> None:
    first = await kit.start()
    tab = await first.open("cat")
    await first.stop()
    assert is_alive(tab.pid)


async def test_nothing_secret_is_visible_and_nobody_else_can_connect(agent: Watched, kit: TmuxKit) -> None:
    spec = LaunchSpec("t", ("cat", "/dev/stdin"), "/", {**ENV, "TOKEN": "very-secret"})
    await agent.terminal.open(spec)
    server = TmuxServer(kit.folder)
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    process = Path(f"/proc/{await server_pid(kit)}")
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    shown += (await kit.tmux("show-environment", "-g")).encode() + (
        await kit.tmux("list-panes", "-sF", "#{W:#{P:#{pane_start_command}}}")
    ).encode()
    assert b"semo" in shown
    assert b"very-secret" not in shown
    assert b"/dev/stdin" not in shown
    assert {path.name for path in server.folder.iterdir()} == {"server.sock"}


async def test_a_failed_launch_leaves_no_window_and_no_file(agent: Watched, kit: TmuxKit) -> None:
    with pytest.raises(TerminalError):
        await agent.open("/no/such/program")
    assert await kit.tmux("list-windows", "-F", "#{window_name}") == "semo"
    assert {path.name for path in TmuxServer(kit.folder).folder.iterdir()} == {"server.sock"}


@pytest.mark.parametrize("name", ['a "quoted" $HOME #{pid} %H', "line\nend ; kill-server", "한글 \\"])
async def test_folders_and_tags_of_any_name_work(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="semo-") as root:
        kit = TmuxKit(Path(root, name))
        agent = await kit.start()
        tab = await agent.open("sh", "-c", "echo fine; cat", tag=name)
        await agent.shows(tab, "fine")
        assert [found.tag for found in await agent.terminal.list()] == [name]
        await kit.tidy()


async def test_a_folder_too_deep_for_a_socket_works() -> None:
    with tempfile.TemporaryDirectory(prefix="semo-") as root:
        kit = TmuxKit(Path(root, *["deep-folder"] * 12))
        agent = await kit.start()
        tab = await agent.open("true")
        assert await agent.exited(tab) == ExitStatus(code=0)
        runtime = TmuxServer(kit.folder).socket.parent
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        await agent.terminal.close(tab.tab_id)
        await kit.tidy()
        assert not runtime.exists()


async def test_a_program_that_reads_nothing_times_out_and_never_gets_the_rest(kit: TmuxKit) -> None:
    terminal = TmuxTerminal(kit.folder, write_timeout=0.2)
    await terminal.start()
    agent = Watched(terminal)
    program = "import os, signal, tty; tty.setraw(0); signal.signal(signal.SIGUSR1, lambda *_: None)\n"
    program += "print('up', flush=True); signal.pause(); got = 0\n"
    program += "while not (data := os.read(0, 65536)).endswith(b'!'): got += len(data)\n"
    program += "print('got', got + len(data), flush=True); signal.pause()"
    tab = await agent.python(program)
    await agent.shows(tab, "up")
    with pytest.raises(TerminalTimeout, match="did not read all of it"):
        await terminal.write(tab.tab_id, b"x" * 64 * 1024)
    os.killpg(tab.pid, signal.SIGUSR1)
    await terminal.write(tab.tab_id, b"!")
    screen = await agent.shows(tab, "got")
    received = int("".join(texts(screen.rows)).partition("got ")[2])
    assert 0 < received < 16 * 1024
    await agent.stop()


async def test_a_program_that_is_hung_up_by_the_death_of_tmux_is_told(kit: TmuxKit, tmp_path: Path) -> None:
    agent = await kit.start()
    told = tmp_path / "told"
    program = "import pathlib, signal; signal.signal(signal.SIGHUP, lambda *_: None); print('up', flush=True)\n"
    program += f"signal.pause(); pathlib.Path({str(told)!r}).touch()"
    tab = await agent.python(program)
    await agent.shows(tab, "up")
    await kit.kill_backend()

    async def knows() -> bool:
        return told.exists()

    await until("it was told", knows)


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


async def test_auto_goes_where_sessions_live_and_another_choice_is_refused(agent: Watched, kit: TmuxKit) -> None:
    for number in range(2):
        await agent.open("cat", tag=str(number))
    assert (await choose_terminal(kit.folder, TerminalChoice.AUTO)).name == "tmux"
    assert (await choose_terminal(kit.folder, TerminalChoice.TMUX)).name == "tmux"
    with pytest.raises(ConfigurationError, match="2 sessions live in tmux; choose --terminal tmux"):
        await choose_terminal(kit.folder, TerminalChoice.PTY)


async def test_auto_stays_with_a_pty_where_a_session_lives_in_one(folder: Path) -> None:
    kit = PtyKit(folder)
    agent = await kit.start()
    await agent.exited(await agent.open("true", tag="ended"))
    assert (await choose_terminal(folder, TerminalChoice.AUTO)).name == "tmux"
    await agent.open("cat")
    assert (await choose_terminal(folder, TerminalChoice.AUTO)).name == "pty"
    with pytest.raises(ConfigurationError, match="1 session lives in pty"):
        await choose_terminal(folder, TerminalChoice.TMUX)
    await kit.tidy()


async def test_a_tmux_that_is_missing_or_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="There is no tmux"):
        await choose_terminal(tmp_path, TerminalChoice.TMUX)
    old = tmp_path / "tmux"
    old.write_text("#!/bin/sh\necho tmux 3.1c\n")
    old.chmod(0o700)
    with pytest.raises(ConfigurationError, match=r"tmux 3\.1c is too old; SEMO needs tmux 3\.2"):
        await choose_terminal(tmp_path, TerminalChoice.TMUX)
    assert (await choose_terminal(tmp_path, TerminalChoice.AUTO)).name == "pty"


def test_a_word_is_quoted_so_that_tmux_reads_it_back() -> None:
    word = 'a "b" $HOME \\ \n ; ~ \' #{pid} %H 한글'
    lines = f"set-option -g @word {quoted(word)} ; show-options -gv @word ; kill-server\n"
    with tempfile.TemporaryDirectory(prefix="semo-") as folder:
        command = [usable_tmux(), "-u", "-S", f"{folder}/s", "-f", os.devnull, "-C", "new-session", "cat"]
        ran = subprocess.run(
            command, input=lines, env=ENV, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert word in ran.stdout
