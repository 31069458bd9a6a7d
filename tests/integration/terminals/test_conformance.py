"""What every terminal does. Ids end in the name of the terminal."""

import asyncio
import hashlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from semo_agent.errors import LaunchFailed, TabNotFound, TerminalError
from semo_agent.paste import clean
from semo_agent.terminals.base import Exited, ExitStatus, Key, Size, TitleChanged
from tests.integration.terminals.kit import COUNT_UP, ENV, Kit, Watched, is_alive, texts

NASTY = "한글 🎉 e\u0301 👩‍👩‍👧‍👦\tq\x1b[201~\x00\x9b!\r\nsecond\x7f line\n\n"

DRAW_SIZE = """
import os, signal, sys
def draw():
    size = os.get_terminal_size()
    print(f"{size.columns}x{size.lines}", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
while True:
    draw()
    signal.sigwait([signal.SIGWINCH])
"""
RAW_READS = """
import os, sys, tty
tty.setraw(0)
os.write(1, sys.argv[1].encode().decode("unicode_escape").encode("latin-1") + b"ready")
while True:
    os.write(1, b" <" + os.read(0, 99).hex().encode() + b">")
"""
READ_256 = """
import hashlib, os, tty
tty.setraw(0)
os.write(1, b"ready\\r\\n")
got = b""
while len(got) < 4096:
    got += os.read(0, 99)
os.write(1, b"got " + hashlib.sha256(got).hexdigest().encode())
os.read(0, 1)
"""


def entries(record: Path, key: str) -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, record.read_text().splitlines()) if key in entry]


async def test_a_program_runs_and_its_tab_is_listed_until_it_is_closed(agent: Watched) -> None:
    tab = await agent.open("cat", tag="my session", size=Size(100, 30))
    assert list(await agent.terminal.list()) == [tab]
    assert (tab.tag, tab.size, tab.exit) == ("my session", Size(100, 30), None)
    await agent.terminal.write(tab.tab_id, b"hello\r")
    await agent.shows(tab, "hello")
    await agent.terminal.close(tab.tab_id)
    assert list(await agent.terminal.list()) == []
    assert not is_alive(tab.pid)
    with pytest.raises(TabNotFound):
        await agent.terminal.screen(tab.tab_id)


async def test_an_ended_program_tells_its_exit_code_and_stays_listed(agent: Watched) -> None:
    tab = await agent.open("sh", "-c", "echo last words; exit 3")
    assert await agent.exited(tab) == ExitStatus(code=3)
    assert (await agent.terminal.list())[0].exit == ExitStatus(code=3)
    assert texts((await agent.terminal.screen(tab.tab_id)).rows)[0] == "last words"
    assert await agent.terminal.close(tab.tab_id) == ExitStatus(code=3)


async def test_a_killed_program_tells_its_signal(agent: Watched) -> None:
    tab = await agent.open("sh", "-c", "kill -9 $$")
    assert await agent.exited(tab) == ExitStatus(signal=signal.SIGKILL)


async def test_all_output_comes_before_the_end(agent: Watched) -> None:
    tab = await agent.open("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done")
    await agent.exited(tab)
    assert isinstance(agent.events[-1], Exited) or agent.events[-1].tab_id == tab.tab_id
    rows = texts(await agent.everything(tab))
    assert rows[:3000] == [str(number) for number in range(3000)]


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (("/no/such/program",), "/", "No such file"),
        (("no-such-program",), "/", "No such file"),
        (("/etc/passwd",), "/", "Permission denied"),
        (("cat",), "/no/such/folder", "No such file"),
        (("cat", "a\0b"), "/", "Invalid argument"),
        ((), "/", "no program"),
    ],
)
async def test_a_failed_launch_says_why_and_leaves_nothing(
    agent: Watched, argv: tuple[str, ...], cwd: str, reason: str
) -> None:
    with pytest.raises(LaunchFailed, match=reason):
        await agent.open(*argv, cwd=cwd)
    assert list(await agent.terminal.list()) == []


async def test_an_impossible_size_is_refused(agent: Watched) -> None:
    with pytest.raises(TerminalError, match="not possible"):
        await agent.open("cat", size=Size(0, 10))
    assert list(await agent.terminal.list()) == []


async def test_a_program_gets_exactly_its_environment_and_a_terminal_of_its_own(kit: Kit, agent: Watched) -> None:
    program = """
import os, signal, sys
print(sorted(os.environ.items()))
print(os.getcwd(), os.tcgetpgrp(0) == os.getpgrp(), os.isatty(2))
ignored = [s.name for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN]
print(ignored, signal.pthread_sigmask(0, ()))
print(sorted(map(int, os.listdir("/dev/fd")))[:4])
"""
    tab = await agent.python(program)
    await agent.exited(tab)
    rows = "".join(texts(await agent.everything(tab)))
    expected = sorted({**ENV, "TERM": kit.term, "COLORTERM": "truecolor"}.items())
    # Python itself ignores these two, and lists the descriptor that it lists with.
    assert f"{expected}/ True True['SIGPIPE', 'SIGXFSZ'] set()[0, 1, 2, 3]" in rows


async def test_a_long_write_reaches_a_slow_reader_whole(agent: Watched, tmp_path: Path) -> None:
    record = tmp_path / "record"
    tab = await agent.receiver(record, "--slow-read")
    text = "".join(f"{number:07}|" for number in range(32 * 1024))
    await agent.terminal.paste(tab.tab_id, text)
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    received = entries(record, "prompt")
    assert [entry["bytes"] for entry in received] == [256 * 1024]
    assert received[0]["sha256"] == hashlib.sha256(text.encode()).hexdigest()


async def test_a_paste_arrives_between_brackets_as_one_prompt(agent: Watched, tmp_path: Path) -> None:
    record = tmp_path / "record"
    tab = await agent.receiver(record)
    await agent.terminal.paste(tab.tab_id, NASTY)
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    received = entries(record, "prompt")
    body = clean(NASTY).encode()
    assert [(entry["prompt"], entry["bytes"]) for entry in received] == [(1, len(body))]
    assert received[0]["sha256"] == hashlib.sha256(body).hexdigest()
    assert bytes.fromhex("".join(entry["hex"] for entry in entries(record, "hex"))) == (
        b"\x1b[200~" + body + b"\x1b[201~\r"
    )


async def test_carriage_return_is_separate_from_a_paste_that_was_read(agent: Watched, tmp_path: Path) -> None:
    record = tmp_path / "record"
    tab = await agent.receiver(record)
    await agent.terminal.paste(tab.tab_id, "text")

    def was_read() -> bool:
        return "1b5b3230317e" in "".join(entry["hex"] for entry in entries(record, "hex"))

    async with asyncio.timeout(10):
        while not was_read():  # noqa: ASYNC110 - the program tells it in a file only
            await asyncio.sleep(0.005)
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    assert entries(record, "prompt")[0]["cr_separate"] is True


async def test_a_program_that_wants_no_brackets_gets_none(agent: Watched, tmp_path: Path) -> None:
    record = tmp_path / "record"
    tab = await agent.receiver(record, "--unbracketed")
    await agent.terminal.paste(tab.tab_id, "one\ntwo\n")
    await agent.mark(tab, "D")
    assert bytes.fromhex(entries(record, "hex")[0]["hex"]) == b"one\rtwo"


async def test_the_text_of_a_turn_is_what_lies_between_its_marks(agent: Watched, tmp_path: Path) -> None:
    tab = await agent.receiver(tmp_path / "record")
    await agent.terminal.paste(tab.tab_id, "hello")
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    begin, end = await agent.mark(tab, "C"), await agent.mark(tab, "D")
    assert end.parameters == "0"
    excerpt = await agent.terminal.text_between(tab.tab_id, begin.at, end.at)
    assert (excerpt.text, excerpt.left_out) == ("prompt 1: 5 bytes", 0)


async def test_keys_follow_the_modes_of_the_program(agent: Watched) -> None:
    normal = await agent.python(RAW_READS, "", tag="normal")
    application = await agent.python(RAW_READS, "\\x1b[?1h", tag="application")
    for tab, arrow in ((normal, "1b5b41"), (application, "1b4f41")):
        await agent.shows(tab, "ready")
        for key, code in ((Key.UP, arrow), (Key.CTRL_C, "03"), (Key.SHIFT_TAB, "1b5b5a"), (Key.ESCAPE, "1b")):
            await agent.terminal.press(tab.tab_id, key)
            await agent.shows(tab, f"<{code}>")


async def test_wide_characters_and_colour_stand_on_the_screen_as_drawn(agent: Watched) -> None:
    tab = await agent.python(r"print('한글|🎉|e\u0301|\x1b[1;32mgreen\x1b[0m|'); input()")
    screen = await agent.shows(tab, "green")
    assert screen.rows[0].text == "한글|🎉|e\u0301|green|"
    assert screen.rows[0].styled == "한글|🎉|e\u0301|\x1b[0m\x1b[1m\x1b[38;5;2mgreen\x1b[0m|"
    assert (screen.cursor_row, screen.cursor_col) == (1, 0)


async def test_a_link_stands_on_the_screen_as_its_text(agent: Watched) -> None:
    tab = await agent.python(r"print('see \x1b]8;;https://example.org/\x1b\\the page\x1b]8;;\x1b\\ now'); input()")
    screen = await agent.shows(tab, "now")
    assert screen.rows[0].text == "see the page now"


async def test_every_byte_is_written_as_it_is(agent: Watched) -> None:
    tab = await agent.python(READ_256)
    await agent.shows(tab, "ready")
    await agent.terminal.write(tab.tab_id, bytes(range(256)) * 16)
    await agent.shows(tab, "got " + hashlib.sha256(bytes(range(256)) * 16).hexdigest())


async def test_the_alternate_screen_comes_and_goes_without_a_trace(agent: Watched) -> None:
    program = r"""
print("before\x1b[?1049h\x1b[Hfull screen", end="", flush=True); input(); print("\x1b[?1049lafter")
"""
    tab = await agent.python(program)
    assert (await agent.shows(tab, "full screen")).alternate
    await agent.terminal.write(tab.tab_id, b"\r")
    await agent.exited(tab)
    assert [text for text in texts(await agent.everything(tab)) if text] == ["beforeafter"]


async def test_a_running_program_is_told_its_new_size(agent: Watched) -> None:
    tab = await agent.python(DRAW_SIZE)
    await agent.shows(tab, "80x24")
    await agent.terminal.resize(tab.tab_id, Size(132, 50))
    screen = await agent.shows(tab, "132x50")
    assert screen.size == Size(132, 50)
    assert (await agent.terminal.list())[0].size == Size(132, 50)


async def test_changes_of_the_height_during_a_flood_lose_and_repeat_nothing(agent: Watched) -> None:
    tab = await agent.python(COUNT_UP, "40000")
    for rows in (10, 50, 24, 3, 60) * 4:
        await agent.terminal.resize(tab.tab_id, Size(80, rows))
    await agent.exited(tab)
    assert texts(await agent.everything(tab))[:40_000] == [str(number) for number in range(40_000)]


async def test_an_ended_tab_can_be_resized_for_reading(agent: Watched) -> None:
    tab = await agent.open("echo", "0123456789")
    await agent.exited(tab)
    await agent.terminal.resize(tab.tab_id, Size(5, 10))
    assert texts((await agent.terminal.screen(tab.tab_id)).rows)[:3] == ["01234", "56789", ""]


async def test_a_title_is_told(agent: Watched) -> None:
    tab = await agent.python(r"print('\x1b]2;⠹ 일\x07', end='', flush=True); input()")

    async def told() -> bool:
        return TitleChanged(tab.tab_id, "⠹ 일") in agent.events

    await agent.until(told)
    assert (await agent.terminal.screen(tab.tab_id)).title == "⠹ 일"


async def test_a_clear_of_the_scrollback_keeps_the_lines_in_an_older_epoch(agent: Watched) -> None:
    program = r"print(*range(100), sep='\n'); print('\x1b[H\x1b[2J\x1b[3Jfresh'); input()"
    tab = await agent.python(program)
    screen = await agent.shows(tab, "fresh")
    assert (screen.epoch, screen.base) == (1, 0)
    old = await agent.terminal.lines(tab.tab_id, 0, 1000, epoch=0)
    assert texts(old) == [str(number) for number in range(len(old))]
    assert len(old) == 100 - 23
    assert list(await agent.terminal.lines(tab.tab_id, 0, 1000)) == []


async def test_a_flood_of_200000_lines_is_exact_and_the_loop_stays_responsive(agent: Watched) -> None:
    slowest = 0.0

    async def watch_the_loop() -> None:
        nonlocal slowest
        while True:
            # What the loop itself did in one go: other programs may keep it from the processor for longer.
            before = time.thread_time()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.thread_time() - before)

    watching = asyncio.create_task(watch_the_loop())
    began = time.monotonic()
    tab = await agent.open("seq", "1", "200000")
    await agent.exited(tab)
    took = time.monotonic() - began
    watching.cancel()
    rows = await agent.everything(tab)
    assert texts(rows)[:200_000] == [str(number) for number in range(1, 200_001)]
    assert [line.number for line in rows] == list(range(len(rows)))
    assert took < 60
    assert slowest < 0.5


async def test_a_line_of_10_megabytes_arrives_whole(agent: Watched) -> None:
    tab = await agent.python("import sys; sys.stdout.write('abcdefghij' * 1_000_000)")
    await agent.exited(tab)
    rows = await agent.everything(tab)
    assert all(row.wrapped for row in rows[:124_000])
    assert sum(len(row.text) for row in rows) == 10_000_000


async def test_invalid_utf8_is_replaced(agent: Watched) -> None:
    tab = await agent.python(r"import os; os.write(1, b'a\xff\xc3(b\xed\x95\n')")
    await agent.exited(tab)
    assert texts((await agent.terminal.screen(tab.tab_id)).rows)[0] == "a\ufffd\ufffd(b\ufffd"


async def test_twenty_tabs_at_once_keep_their_output_apart(agent: Watched) -> None:
    opened = [agent.python(COUNT_UP, "2000", tag=f"tab-{number}") for number in range(20)]
    tabs = await asyncio.gather(*opened)
    for tab in tabs:
        await agent.exited(tab)
        assert texts(await agent.everything(tab))[:2000] == [str(number) for number in range(2000)]
    assert len(await agent.terminal.list()) == 20


async def test_two_writes_at_once_never_mix(agent: Watched, tmp_path: Path) -> None:
    record = tmp_path / "record"
    tab = await agent.receiver(record, "--unbracketed")
    writes = [bytes([letter]) * 60_000 for letter in b"abcd"]
    await asyncio.gather(*(agent.terminal.write(tab.tab_id, data) for data in writes))
    await agent.terminal.press(tab.tab_id, Key.ENTER)
    await agent.mark(tab, "D")
    expected = hashlib.sha256(b"".join(writes)).hexdigest()
    assert entries(record, "prompt")[0]["sha256"] == expected
