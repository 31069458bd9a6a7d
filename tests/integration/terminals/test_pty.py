"""What only the PTY terminal and its holder do."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from semo_agent.errors import LaunchFailed, TerminalDied, TerminalError, TerminalTimeout
from semo_agent.holder.client import HolderClient
from semo_agent.holder.launch import connect_or_launch
from semo_agent.holder.place import socket_path
from semo_agent.holder.protocol import FrameReader, Header, pack
from semo_agent.holder.tab import LONGEST_QUEUE, UNATTENDED, WINDOW
from semo_agent.terminals.base import ExitStatus, Key, LaunchSpec, Position, Size
from semo_agent.terminals.pty import PtyTerminal
from tests.integration.terminals.kit import ENV, PATIENCE, PtyKit, Watched, texts, wait_for_release
from tests.programs.receiver import Composer

PROC = Path("/proc")
HAS_PROC = PROC.exists()
"""Where there is none, `ps` and `lsof` tell the same."""

ASK_POSITIONS = """
import os, sys, tty
tty.setraw(0)
answers = 0
for number in range(5):
    os.write(1, b"\\x1b[6n")
    reply = b""
    while not reply.endswith(b"R"):
        reply += os.read(0, 1)
    answers += 1
os.write(1, b"asked\\r\\n")
while True:
    byte = os.read(0, 1)
    if byte == b"q":
        break
    os.write(1, b"stray " + byte.hex().encode())
os.write(1, b"done\\r\\n")
"""


@pytest.fixture
async def kit(folder: Path) -> AsyncIterator[PtyKit]:
    made = PtyKit(folder)
    yield made
    await made.tidy()


@pytest.fixture
async def agent(kit: PtyKit) -> Watched:
    return await kit.start()


async def run(*command: str, cwd: Path | None = None) -> str:
    """What a program prints; it must succeed."""
    finished = await asyncio.to_thread(
        subprocess.run, command, cwd=cwd, env={"PATH": ENV["PATH"]}, capture_output=True, check=True, text=True
    )
    return finished.stdout


async def visible(pid: int) -> str:
    """What can be seen of a process: its command line and its environment."""
    if not HAS_PROC:
        return await run("ps", "eww", "-p", str(pid))
    files = [PROC / str(pid) / name for name in ("cmdline", "environ")]
    return "".join([await asyncio.to_thread(file.read_text) for file in files])


async def open_files(pid: int) -> int:
    if not HAS_PROC:
        return len((await run("lsof", "-p", str(pid))).splitlines())
    return len(await asyncio.to_thread(os.listdir, PROC / str(pid) / "fd"))


async def processor_seconds(pid: int) -> float:
    if not HAS_PROC:
        minutes, _, seconds = (await run("ps", "-o", "time=", "-p", str(pid))).strip().rpartition(":")
        return int(minutes) * 60 + float(seconds)
    fields = (await asyncio.to_thread((PROC / str(pid) / "stat").read_text)).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def holder_of(agent: Watched) -> int:
    assert isinstance(agent.terminal, PtyTerminal)
    assert agent.terminal._client is not None
    return agent.terminal._client.holder_pid


class Pushes:
    """Output that a bare client got."""

    def __init__(self) -> None:
        self.received = 0
        self.exit: Header | None = None
        self.more = asyncio.Event()

    def __call__(self, header: Header, body: bytes) -> None:
        self.received += len(body)
        if header["push"] == "exited":
            self.exit = header["exit"]
        self.more.set()

    async def until_quiet(self, seconds: float = 0.3) -> int:
        """Wait until nothing more came for a while; returns how much there is."""
        while True:
            self.more.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.more.wait()
            except TimeoutError:
                return self.received


async def open_tab(client: HolderClient, *argv: str) -> str:
    reply = await client.request("open", tag="t", argv=list(argv), cwd="/", env=ENV, cols=80, rows=24)
    return str(reply["tab"])


async def test_a_program_waits_while_its_output_is_not_acknowledged_and_loses_none(kit: PtyKit) -> None:
    pushes = Pushes()
    client = await connect_or_launch(kit.folder, pushes)
    receiving = asyncio.create_task(client.run())
    tab = await open_tab(client, "head", "-c", str(3 * WINDOW), "/dev/zero")
    await client.request("attach", tab=tab, offset=0)
    held = await pushes.until_quiet()
    assert WINDOW <= held < WINDOW + 128 * 1024
    while pushes.exit is None:
        pushes.more.clear()
        client.notify("ack", tab=tab, offset=pushes.received)
        async with asyncio.timeout(PATIENCE):
            await pushes.more.wait()
    assert (pushes.received, pushes.exit) == (3 * WINDOW, {"code": 0, "signal": None})
    await client.close()
    await receiving


async def test_output_lost_while_no_agent_looked_leaves_a_line_that_says_so(kit: PtyKit) -> None:
    first = await kit.start()
    program = "input(); [print(f'{number:070}') for number in range(150_000)]; input()"
    tab = await first.python(program)
    await first.terminal.write(tab.tab_id, b"\r")
    await first.vanish()
    async with kit.client() as client:
        async with asyncio.timeout(PATIENCE):
            while (await client.request("list"))["tabs"][0]["end"] < UNATTENDED + 2_000_000:  # noqa: ASYNC110 - the holder tells nobody
                await asyncio.sleep(0.05)
    second = await kit.start()
    await second.shows(tab, "0149999")
    rows = texts(await second.everything(tab))
    notices = [at for at, text in enumerate(rows) if text.endswith("bytes of output were lost here]")]
    assert len(notices) == 1
    after = [int(text) for text in rows[notices[0] + 2 :] if text]
    assert after == list(range(after[0], 150_000))


async def test_two_agents_that_start_at_once_share_one_holder(kit: PtyKit) -> None:
    first, second = await asyncio.gather(kit.start(), kit.start())
    tab = await first.open("cat")
    assert [found.tab_id for found in await second.terminal.list()] == [tab.tab_id]
    assert holder_of(first) == holder_of(second)


async def test_the_holder_ends_by_itself_when_nothing_needs_it(folder: Path) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-S", "-m", "semo_agent.holder", "--folder", str(folder), "--idle", "2"]
    assert await run(*command, cwd=root) == "listening\n"
    assert await run(*command, cwd=root) == "running\n"
    client = await HolderClient.connect(socket_path(folder), Pushes())
    receiving = asyncio.create_task(client.run())
    tab = await open_tab(client, "true")
    await client.close()
    await receiving
    # It stays for a tab, also an ended one, and for a client; then it goes.
    client = await HolderClient.connect(socket_path(folder), Pushes())
    receiving = asyncio.create_task(client.run())
    await client.request("end", tab=tab, grace=1.0)
    await client.request("forget", tab=tab)
    await client.close()
    await receiving
    await wait_for_release(folder / "holder.lock")
    assert not socket_path(folder).exists()


async def test_a_folder_too_deep_for_a_socket_works_and_leaves_no_runtime_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="semo-") as root:
        folder = Path(root, *["deep-folder"] * 12)
        kit = PtyKit(folder)
        agent = await kit.start()
        await agent.exited(await agent.open("true"))
        runtime = socket_path(folder).parent
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        await kit.tidy()
        assert not runtime.exists()


async def test_nothing_secret_is_visible_and_nobody_else_can_connect(kit: PtyKit) -> None:
    agent = await kit.start()
    spec = LaunchSpec("t", ("cat", "/dev/stdin"), "/", {**ENV, "TOKEN": "very-secret"})
    await agent.terminal.open(spec)
    assert stat.S_IMODE(kit.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket_path(kit.folder).stat().st_mode) == 0o600
    pid = await kit.holder_pid()
    shown = await visible(pid)
    assert "semo_agent.holder" in shown
    assert "very-secret" not in shown
    assert "/dev/stdin" not in shown
    assert b"very-secret" not in (kit.folder / "holder.log").read_bytes()


async def test_a_program_that_reads_nothing_times_out_and_never_gets_the_rest(kit: PtyKit, tmp_path: Path) -> None:
    terminal = PtyTerminal(kit.folder, write_timeout=0.2)
    await terminal.start()
    agent = Watched(terminal)
    program = "import os, signal, tty; tty.setraw(0); signal.signal(signal.SIGUSR1, lambda *_: None)\n"
    program += "print('up', flush=True); signal.pause(); got = 0\n"
    program += "while not (data := os.read(0, 65536)).endswith(b'!'): got += len(data)\n"
    program += "print('got', got + len(data), flush=True)"
    tab = await agent.python(program)
    other = await agent.open("cat", tag="other")
    await agent.shows(tab, "up")
    with pytest.raises(TerminalTimeout, match="did not read all of it"):
        await agent.terminal.write(tab.tab_id, b"x" * 64 * 1024)
    await agent.terminal.write(other.tab_id, b"still alive\r")
    await agent.shows(other, "still alive")
    os.kill(tab.pid, signal.SIGUSR1)
    await agent.terminal.write(tab.tab_id, b"!")
    screen = await agent.shows(tab, "got")
    received = int("".join(texts(screen.rows)).partition("got ")[2])
    assert 0 < received < 64 * 1024
    await agent.stop()


async def test_too_much_waiting_input_is_refused(agent: Watched, kit: PtyKit) -> None:
    tab = await agent.python("import tty, signal; tty.setraw(0); print('up', flush=True); signal.pause()")
    await agent.shows(tab, "up")
    with pytest.raises(TerminalError, match="too many for one write"):
        await agent.terminal.write(tab.tab_id, b"x" * (LONGEST_QUEUE + 1))
    async with kit.client() as client:
        stuck = asyncio.create_task(client.write(tab.tab_id, b"x" * (LONGEST_QUEUE - 1), timeout=5.0))
        await client.request("list")
        with pytest.raises(TerminalError, match="too much is waiting"):
            await client.write(tab.tab_id, b"x" * 100_000, timeout=1.0)
        await agent.terminal.close(tab.tab_id, grace=0.1)
        with pytest.raises(TerminalError, match="has ended"):
            await stuck


async def test_questions_are_answered_exactly_once_also_over_a_crash(kit: PtyKit) -> None:
    first = await kit.start()
    tab = await first.python(ASK_POSITIONS)
    await first.shows(tab, "asked")
    await first.vanish()
    second = await kit.start()
    await second.shows(tab, "asked")
    await second.terminal.write(tab.tab_id, b"q")
    await second.shows(tab, "done")
    assert not any("stray" in text for text in texts(await second.everything(tab)))


async def test_a_background_process_on_the_terminal_does_not_hide_the_end(agent: Watched) -> None:
    tab = await agent.open("sh", "-c", "trap '' HUP; sleep 30 & echo pid $!; exit 4")
    began = time.monotonic()
    assert await agent.exited(tab) == ExitStatus(code=4)
    assert time.monotonic() - began < 5
    row = (await agent.terminal.screen(tab.tab_id)).rows[0].text
    os.kill(int(row.split()[1]), signal.SIGKILL)


async def test_a_new_holder_after_a_killed_one_holds_new_tabs(kit: PtyKit) -> None:
    first = await kit.start()
    tab = await first.open("cat", tag="same")
    await first.terminal.write(tab.tab_id, b"before\r")
    await first.shows(tab, "before")
    await kit.kill_backend()
    assert await first.exited(tab) == ExitStatus(reason="holder died")
    await first.stop()
    second = await kit.start()
    assert list(await second.terminal.list()) == []
    again = await second.open("cat", tag="same")
    screen = await second.terminal.screen(again.tab_id)
    assert (screen.base, [row for row in screen.rows if row.text]) == (0, [])


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02\x00\x00\x00\x00[]", b"\xff" * 100])
async def test_garbage_on_the_socket_disturbs_nobody(agent: Watched, kit: PtyKit, garbage: bytes) -> None:
    tab = await agent.open("cat")
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(PATIENCE)
        stranger.connect(str(socket_path(kit.folder)))
        await asyncio.to_thread(stranger.sendall, garbage)
        assert await asyncio.to_thread(stranger.recv, 100) == b""
    await agent.terminal.write(tab.tab_id, b"fine\r")
    await agent.shows(tab, "fine")


@pytest.mark.parametrize(
    ("request_header", "kind"),
    [
        ({"verb": "list"}, "bad_request"),
        ({"verb": "hello", "version": 99}, "version"),
        ({"verb": "hello"}, "bad_request"),
    ],
)
async def test_a_client_that_does_not_fit_is_told_why(
    agent: Watched, kit: PtyKit, request_header: Header, kind: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path(kit.folder))
    writer.write(pack({"id": 1, **request_header}))
    async with asyncio.timeout(PATIENCE):
        ((reply, _),) = FrameReader().feed(await reader.read(65536))
    assert reply["kind"] == kind
    assert reply["error"].endswith(".")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("dance", {}),
        ("resize", {"cols": 0, "rows": 5}),
        ("resize", {"cols": "many", "rows": 5}),
        ("signal", {"signal": 999}),
        ("forget", {}),
        ("write", {"tab": "nope"}),
        ("open", {"tag": "t", "argv": ["cat"], "cwd": "/", "env": {}, "cols": 1_000_000, "rows": 1}),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_at_once(
    agent: Watched, kit: PtyKit, verb: str, fields: Header
) -> None:
    tab = await agent.open("cat")
    async with kit.client() as client:
        with pytest.raises(TerminalError) as refused:
            await client.request(verb, **{"tab": tab.tab_id, **fields})
        assert not isinstance(refused.value, TerminalTimeout)
    assert [found.tab_id for found in await agent.terminal.list()] == [tab.tab_id]


async def test_a_holder_that_can_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TerminalDied, match="can't be started"):
        await PtyTerminal(tmp_path / "file" / "folder").start()


async def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(TerminalDied, match="choose another"):
        await PtyTerminal(tmp_path / "link").start()


async def test_a_failed_launch_leaves_no_descriptor_behind(agent: Watched, kit: PtyKit) -> None:
    pid = await kit.holder_pid()
    await agent.terminal.list()
    before = await open_files(pid)
    for _ in range(20):
        with pytest.raises(LaunchFailed):
            await agent.open("/no/such/program")
    await agent.terminal.list()
    assert await open_files(pid) == before


async def test_the_holder_rests_when_nothing_happens(agent: Watched, kit: PtyKit) -> None:
    tabs = [await agent.open("cat", tag=str(number)) for number in range(5)]
    for tab in tabs:
        await agent.terminal.write(tab.tab_id, b"up\r")
        await agent.shows(tab, "up")
    pid = await kit.holder_pid()
    # What the start left to be saved and acknowledged.
    await asyncio.sleep(0.6)
    before = await processor_seconds(pid)
    await asyncio.sleep(1.0)
    assert await processor_seconds(pid) - before <= 0.011


async def test_a_resize_waits_for_the_output_before_it(agent: Watched) -> None:
    tab = await agent.open("cat")
    assert isinstance(agent.terminal, PtyTerminal)
    stream = agent.terminal._streams[tab.tab_id]
    resized = asyncio.create_task(stream.resize(stream.offset + 4, Size(80, 30)))
    # The tab, and the event loop, go on meanwhile.
    await agent.terminal.list()
    assert (await agent.terminal.screen(tab.tab_id)).size == tab.size
    await agent.terminal.write(tab.tab_id, b"ab\r")
    async with asyncio.timeout(PATIENCE):
        await resized
    assert (await agent.terminal.screen(tab.tab_id)).size == Size(80, 30)


async def test_output_of_a_turn_is_found_again_after_the_width_changed(agent: Watched, tmp_path: Path) -> None:
    tab = await agent.receiver(tmp_path / "record")
    await agent.terminal.paste(tab.tab_id, "hello")
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    begin, end = await agent.mark(tab, "C"), await agent.mark(tab, "D")
    await agent.terminal.resize(tab.tab_id, Size(10, 24))
    excerpt = await agent.terminal.text_between(tab.tab_id, begin.at, end.at)
    assert excerpt.text == "prompt 1: 5 bytes"
    assert [mark.at for mark in await agent.terminal.marks(tab.tab_id)][-1] > Position(1, 0)


def test_the_receiver_tells_a_carriage_return_in_the_same_read(tmp_path: Path) -> None:
    """The test program must be able to see what the tests say does not happen."""
    assert Composer().feed(b"\x1b[200~a\rb\x1b[201~\r") == [(b"a\rb", False)]
    composer = Composer()
    assert composer.feed(b"\x1b[200~a\x1b[20") == []
    assert composer.feed(b"1~") == []
    assert composer.feed(b"\r") == [(b"a", True)]
