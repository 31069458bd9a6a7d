from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semo_agent.emulator import Emulator, Fed, Mark
from semo_agent.emulator.cells import split_at_column, text_width
from semo_agent.errors import TerminalError
from semo_agent.terminals.base import Line, Position, Screen, Size

SMALL = Size(20, 5)


@dataclass
class Result:
    lines: list[Line]
    marks: list[Mark]
    replies: bytes
    screen: Screen


def run(stream: bytes, *, size: Size = SMALL, pieces: int = 0) -> Result:
    """Feed a stream, whole or in pieces of so many bytes."""
    emulator = Emulator(size)
    step = pieces or max(len(stream), 1)
    return collect(emulator, [stream[at : at + step] for at in range(0, len(stream), step)])


def collect(emulator: Emulator, chunks: list[bytes]) -> Result:
    fed = [emulator.feed(chunk) for chunk in chunks]
    lines = [line for one in fed for line in one.lines]
    marks = [mark for one in fed for mark in one.marks]
    return Result(lines, marks, b"".join(one.replies for one in fed), emulator.screen())


def texts(fed: Fed | Result) -> list[str]:
    return [line.text for line in fed.lines]


def rows(screen: Screen) -> list[str]:
    return [row.text for row in screen.rows]


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(first, last))


fragments = st.sampled_from(
    [
        b"plain text ",
        b"\r\n",
        b"\n\n\n",
        numbered(0, 9),
        "한글 🎉 e\u0301 👩‍👩‍👧‍👦".encode(),
        b"\xff\xed\x95",
        b"\x1b[31mred\x1b[0m",
        b"\x1b]133;A\x07> \x1b]133;B\x1b\\",
        b"\x1b]133;C\x07out\x1b]133;D;0\x1b\\",
        b"\x1b]2;a title\x07",
        b"\x1bka name\x1b\\",
        b"\x1b[3J",
        b"\x1b[H\x1b[2J",
        b"\x1bc",
        b"\x1b[?1049h",
        b"\x1b[?1049l",
        b"\x1b[5;1H",
        b"\x1b[6n",
        b"\x1b]52;unterminated",
        b"\x1b[38;2",
        b"w" * 45,
    ]
)
streams = st.lists(fragments, max_size=30).map(b"".join)


@given(streams, st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=150)
def test_the_result_does_not_depend_on_how_the_stream_is_chopped(stream: bytes, at: list[int]) -> None:
    cuts = [0, *sorted({min(place, len(stream)) for place in at}), len(stream)]
    chopped = collect(Emulator(SMALL), [stream[a:b] for a, b in pairwise(cuts)])
    assert chopped == run(stream)


@given(streams)
@settings(max_examples=60)
def test_one_byte_at_a_time_gives_the_same(stream: bytes) -> None:
    assert run(stream, pieces=1) == run(stream)


@given(streams, streams)
@settings(max_examples=100)
def test_a_restored_emulator_goes_on_exactly_where_the_saved_one_was(before: bytes, after: bytes) -> None:
    original = Emulator(SMALL)
    original.feed(before)
    restored = Emulator.restore(original.snapshot())
    assert restored.screen() == original.screen()
    assert restored.marks == original.marks
    assert collect(restored, [after]) == collect(original, [after])


def test_every_row_that_scrolls_off_is_one_line_in_order() -> None:
    result = run(numbered(0, 20_000), size=Size(), pieces=4096)
    assert texts(result) == [str(number) for number in range(20_000 - 39)]
    assert [line.number for line in result.lines] == list(range(20_000 - 39))
    assert result.screen.base == 20_000 - 39


def test_a_wrapped_row_says_that_it_goes_on_and_keeps_its_blanks() -> None:
    result = run(b"abcd " * 6 + b"\r\n" + b"\n" * 5)
    assert [(line.text, line.wrapped) for line in result.lines[:2]] == [
        ("abcd abcd abcd abcd ", True),
        ("abcd abcd", False),
    ]


def test_colour_is_kept_as_sgr_that_ends_with_the_row() -> None:
    result = run(b"\x1b[31mred\r\nstill\x1b[0m\r\n" + b"\n" * 5)
    assert result.lines[0] == Line(0, 0, "red", "\x1b[38;5;1mred\x1b[0m")
    assert result.lines[1] == Line(0, 1, "still", "\x1b[38;5;1mstill\x1b[0m")


def test_wide_and_combined_characters_keep_their_columns() -> None:
    screen = run("한글 e\u0301 👩‍👩‍👧‍👦|".encode()).screen
    assert rows(screen)[0] == "한글 e\u0301 👩‍👩‍👧‍👦|"
    assert screen.cursor_col == 2 + 2 + 1 + 1 + 1 + 2 + 1


def test_invalid_utf8_is_shown_as_replacement_characters() -> None:
    assert rows(run(b"a\xffb\xc3(c").screen)[0] == "a\ufffdb\ufffd(c"


@pytest.mark.parametrize("end", [b"\x07", b"\x1b\\"])
def test_marks_stand_where_the_stream_stood(end: bytes) -> None:
    stream = b"\x1b]133;A" + end + b"$ \x1b]133;B" + end + b"ls\r\n\x1b]133;C" + end + b"out\r\n\x1b]133;D;3;x=y" + end
    assert run(b"\r\n" * 3 + stream).marks == [
        Mark("A", "", Position(0, 3, 0), 1),
        Mark("B", "", Position(0, 3, 2), 2),
        Mark("C", "", Position(0, 4, 0), 3),
        Mark("D", "3;x=y", Position(0, 5, 0), 4),
    ]


def test_a_mark_after_a_full_row_stands_behind_its_last_column() -> None:
    assert run(b"x" * 20 + b"\x1b]133;D;0\x07").marks[0].at == Position(0, 0, 20)


def test_a_mark_counts_rows_that_scrolled_off_in_the_same_read() -> None:
    assert run(numbered(0, 100) + b"\x1b]133;C\x07").marks[0].at == Position(0, 100, 0)


def test_a_mark_on_the_alternate_screen_has_a_position() -> None:
    result = run(numbered(0, 10) + b"\x1b[?1049h\x1b[2;3H\x1b]133;C\x07")
    assert result.marks[0].at == Position(0, result.screen.base + 1, 2)


def test_a_cancelled_mark_is_none() -> None:
    assert run(b"\x1b]133;C\x18\x07").marks == []


def test_a_program_that_clears_the_scrollback_loses_no_line_and_begins_an_epoch() -> None:
    result = run(numbered(0, 12) + b"\x1b[H\x1b[2J\x1b[3J" + numbered(0, 6))
    assert texts(result)[:8] == [str(number) for number in range(8)]
    assert [(line.epoch, line.number, line.text) for line in result.lines[8:]] == [(1, 0, "0"), (1, 1, "1")]


def test_a_reset_loses_no_line_and_begins_an_epoch() -> None:
    result = run(numbered(0, 12) + b"\x1bcafter")
    assert texts(result) == [str(number) for number in range(8)]
    assert (result.screen.epoch, result.screen.base, rows(result.screen)[0]) == (1, 0, "after")


def test_the_alternate_screen_leaves_the_log_untouched() -> None:
    result = run(numbered(0, 12) + b"\x1b[?1049h" + b"noise\r\n" * 50 + b"\x1b[3J\x1b[?1049l" + b"end")
    assert texts(result) == [str(number) for number in range(8)]
    assert (result.screen.epoch, result.screen.alternate) == (0, False)
    assert rows(result.screen) == ["8", "9", "10", "11", "end"]


def test_a_new_width_wraps_the_screen_anew_in_a_new_epoch() -> None:
    emulator = Emulator(SMALL)
    emulator.feed(b"abcdefghijklmnop\r\nend")
    emulator.resize(Size(10, 5))
    screen = emulator.screen()
    assert (screen.epoch, screen.base) == (1, 0)
    assert rows(screen)[:3] == ["abcdefghij", "klmnop", "end"]


def test_a_new_height_keeps_epoch_and_numbers() -> None:
    emulator = Emulator(SMALL)
    before = emulator.feed(numbered(0, 10)).lines
    shrunk = emulator.resize(Size(20, 3)).lines
    grown = emulator.resize(Size(20, 8)).lines
    assert [line.text for line in before + shrunk + grown] == [str(number) for number in range(8)]
    assert emulator.screen().epoch == 0
    assert rows(emulator.screen())[:3] == ["8", "9", ""]


def test_a_resize_inside_a_sequence_does_not_break_it() -> None:
    emulator = Emulator(SMALL)
    emulator.feed(numbered(0, 10) + b"\x1b]2;my ti")
    emulator.resize(Size(30, 4))
    fed = emulator.feed(b"tle\x07x")
    assert fed.title == "my title"
    assert rows(emulator.screen())[3] == "x"


def test_marks_move_with_their_text_when_the_width_changes() -> None:
    emulator = Emulator(SMALL)
    fed = emulator.feed(b"$ " + b"x" * 30 + b"\r\n\x1b]133;C\x07out" + b"y" * 17 + b"\x1b]133;D;0\x07\r\n")
    emulator.resize(Size(10, 8))
    assert [mark.at for mark in emulator.marks] == [Position(1, 4, 0), Position(1, 5, 10)]
    emulator.resize(Size(40, 8))
    assert [emulator.where(mark.at) for mark in fed.marks] == [Position(2, 1, 0), Position(2, 1, 20)]


@pytest.mark.parametrize("size", [Size(1, 10), Size(10, 0), Size(1001, 10), Size(10, 1001)])
def test_an_impossible_size_is_refused(size: Size) -> None:
    with pytest.raises(TerminalError, match="is not possible"):
        Emulator(size)


@pytest.mark.parametrize("pieces", [0, 1, 2, 3])
def test_the_name_of_a_window_of_screen_and_tmux_is_a_title_and_not_printed(pieces: int) -> None:
    result = run("a\x1bk이름\x1b\\b".encode(), pieces=pieces)
    assert (result.screen.title, result.screen.rows[0].text) == ("이름", "ab")


def test_the_title_is_told_when_it_changes() -> None:
    emulator = Emulator(SMALL)
    assert emulator.feed("\x1b]0;⠹ 일\x07".encode()).title == "⠹ 일"
    assert emulator.feed(b"text").title is None
    assert emulator.screen().title == "⠹ 일"


def test_modes_that_the_agent_types_by_are_known() -> None:
    emulator = Emulator(SMALL)
    emulator.feed(b"\x1b[?2004h\x1b[?1h\x1b[?25l")
    screen = emulator.screen()
    assert (screen.bracketed_paste, screen.application_cursor, screen.cursor_visible) == (True, True, False)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"\x1b[2;4H\x1b[6n", b"\x1b[2;4R"),
        (b"\x1b[c", b"\x1b[?62;22c"),
        (b"\x1b[18t", b"\x1b[8;5;20t"),
        (b"\x1b]11;?\x07", b"\x1b]11;rgb:1010/1010/1010\x07"),
    ],
)
def test_a_question_of_the_program_is_answered(question: bytes, answer: bytes) -> None:
    assert run(question).replies == answer


def test_an_unterminated_string_does_not_stop_the_lines_for_good() -> None:
    result = run(b"\x1b]2;never ended" + b"x" * 100_000 + b"\x1b[0m\r\n" + numbered(0, 50), pieces=4096)
    assert texts(result)[-1] == "45"


@pytest.mark.parametrize("introducer", [b"\x1b]52;c;", b"\x1bP", b"\x1b_G"])
def test_a_string_too_long_to_keep_is_still_swallowed_after_a_restore(introducer: bytes) -> None:
    emulator = Emulator(SMALL)
    emulator.feed(introducer + b"x" * 300_000)
    restored = Emulator.restore(emulator.snapshot())
    restored.feed(b"y" * 1000 + b"\x1b\\seen")
    assert rows(restored.screen())[0] == "seen"


def test_rows_that_scroll_inside_a_sequence_are_lines_once() -> None:
    result = run(numbered(0, 10) + b"\x1b[3" + b"\n" * 40_000 + b"1m" + numbered(10, 12), pieces=8192)
    assert [text for text in texts(result) if text] == [str(number) for number in range(10)]
    assert len(texts(result)) == 10 + 40_000 + 2 - 4


def test_lost_output_leaves_a_line_that_says_so_between_old_and_new() -> None:
    emulator = Emulator(SMALL)
    first = emulator.feed(numbered(0, 3) + b"\x1b[3")
    lost = emulator.lose(1234)
    after = emulator.feed(numbered(5, 12))
    assert [line.text for line in [*first.lines, *lost.lines, *after.lines]][:5] == [
        "0",
        "1",
        "2",
        "[1234 bytes of output were lost here]",
        "5",
    ]
    assert [line.number for line in [*lost.lines, *after.lines]] == list(range(7))


def test_a_damaged_snapshot_is_refused() -> None:
    with pytest.raises(TerminalError, match="damaged"):
        Emulator.restore(Emulator(SMALL).snapshot()[:-20])


@pytest.mark.parametrize(
    ("text", "column", "parts"),
    [
        ("abc", 2, ("ab", "c")),
        ("한글", 2, ("한", "글")),
        ("한글", 3, ("한", "글")),
        ("e\u0301x", 1, ("e\u0301", "x")),
        ("👩‍👩‍👧‍👦x", 2, ("👩‍👩‍👧‍👦", "x")),
        ("ab", 9, ("ab", "")),
    ],
)
def test_a_row_is_split_at_a_column_of_the_terminal(text: str, column: int, parts: tuple[str, str]) -> None:
    assert split_at_column(text, column) == parts


def test_width_counts_cells() -> None:
    assert [text_width(text) for text in ("abc", "한글", "e\u0301", "👩‍👩‍👧‍👦", "")] == [3, 4, 1, 2, 0]


def test_marks_that_are_read_again_have_the_same_ordinals() -> None:
    emulator = Emulator(Size(80, 24))
    emulator.feed(b"\x1b]133;A\x07$ \x1b]133;B\x07")
    saved, later = emulator.snapshot(), b"ls\r\n\x1b]133;C\x07out\r\n\x1b]133;D;0\x07"
    marks = emulator.feed(later).marks
    assert [mark.ordinal for mark in marks] == [3, 4]
    assert Emulator.restore(saved).feed(later).marks == marks


def test_no_ordinal_is_used_twice_after_lost_output() -> None:
    emulator = Emulator(Size(80, 24))
    emulator.feed(b"\x1b]133;A\x07")
    emulator.lose(100)
    assert [mark.ordinal for mark in emulator.feed(b"\x1b]133;B\x07").marks] == [102]
