import json
from dataclasses import dataclass, field
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from semo_agent.deltas import SCROLLBACK, Delta, Sent, cut, first_needed, json_bytes, pieces, sent_after
from semo_agent.emulator import Emulator
from semo_agent.terminals.base import Line, Size
from semo_office.events import OutputView, SessionOutput

SESSION = uuid4()


@dataclass
class Side:
    """A terminal and what its agent sends of it."""

    emulator: Emulator
    instance: object = field(default_factory=uuid4)
    log: list[Line] = field(default_factory=list)
    sent: Sent | None = None
    seq: int = 0

    def feed(self, data: bytes) -> None:
        self.log += self.emulator.feed(data).lines

    def resize(self, size: Size) -> None:
        self.log += self.emulator.resize(size).lines

    def tell(self, *, most_bytes: int = 2000) -> list[SessionOutput]:
        screen = self.emulator.screen()
        first = first_needed(self.sent, screen)
        lines = [line for line in self.log if line.epoch == screen.epoch and line.number >= first]
        now = sent_after(self.sent, screen)
        delta = cut(self.sent, now, lines)
        self.sent = now
        return [] if delta is None else [self._output(now, each) for each in pieces(delta, most_bytes)]

    def _output(self, now: Sent, delta: Delta) -> SessionOutput:
        self.seq += 1
        return SessionOutput.model_validate(
            {
                "session_id": SESSION, "instance": self.instance, "seq": self.seq, "epoch": now.epoch,
                "first": delta.first, "rows": delta.rows, "base": now.base, "cols": now.size.cols,
                "screen_rows": len(now.rows), "cursor": now.cursor, "cursor_row": now.cursor_row,
                "alternate": now.alternate, "title": now.title, "at_ms": 0,
            }
        )  # fmt: skip

    def rows_from(self, number: int) -> list[str]:
        screen = self.emulator.screen()
        lines = [line.styled for line in self.log if line.epoch == screen.epoch and line.number >= number]
        return [*lines, *(row.styled for row in screen.rows if row.number >= number)]


def side(cols: int = 20, rows: int = 4) -> Side:
    return Side(Emulator(Size(cols, rows)))


PIECES = st.one_of(
    st.text("ab한글 \r\n", max_size=40).map(str.encode),
    st.sampled_from(
        [
            b"\r\n" * 3, b"line\r\n" * 9, b"\r\n" * (SCROLLBACK + 40), b"\x1b[H", b"\x1b[2J", b"\x1b[3J",
            b"\x1b[H\x1b[2J\x1b[3J", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[31mred", b"\x1b[0m", b"\x1b[?25l",
            b"\x1b[?25h", b"\x1b]2;title\x07", b"\x1bM", b"\x1bc", b"\x1b[L", b"\x1b[2;1Hx",
        ]
    ),
    st.sampled_from([Size(20, 4), Size(20, 6), Size(12, 4)]),
)  # fmt: skip
FATES = st.sampled_from(["arrives", "arrives", "arrives", "is lost", "comes twice", "comes late"])


@given(st.lists(st.tuples(PIECES, FATES), max_size=25))
def test_any_output_with_losses_and_repeats_is_the_same_after_a_resync(story: list[tuple[bytes | Size, str]]) -> None:
    near, view = side(), OutputView()
    late: list[SessionOutput] = []
    in_step = True
    for happened, fate in story:
        near.resize(happened) if isinstance(happened, Size) else near.feed(happened)
        told = near.tell()
        if fate == "is lost" or fate == "comes late":
            late += told if fate == "comes late" else []
            in_step = in_step and not told
            continue
        for output in (*told, *late, *(told if fate == "comes twice" else ())):
            if output.seq == near.seq:
                in_step = not view.apply(output).gap
            else:
                view.apply(output)
        late = []
        if view.synced and in_step and near.seq and fate == "arrives":
            # A gap that is not noticed would be a lie.
            assert list(view.rows()) == near.rows_from(view.first)
    near.sent = None
    for output in near.tell():
        assert not view.apply(output).gap
    assert list(view.rows()) == near.rows_from(view.first)
    assert (view.base, view.epoch) == (near.emulator.screen().base, near.emulator.epoch)


def test_a_new_line_costs_only_the_rows_from_it_on() -> None:
    near = side(rows=4)
    near.feed(b"a\r\nb\r\nc\r\n")
    near.tell()
    near.feed(b"d\r\ne\r\n")
    (told,) = near.tell()
    assert (told.first, told.base, told.rows) == (3, 2, ("d", "e", ""))


def test_nothing_new_is_not_told() -> None:
    near = side()
    near.feed(b"a")
    assert near.tell()
    near.feed(b"\x1b[?2004h")
    assert near.tell() == []


def test_a_moved_cursor_is_told_without_rows() -> None:
    near = side()
    near.feed(b"abc")
    near.tell()
    near.feed(b"\x1b[D")
    (told,) = near.tell()
    assert (told.rows, told.first, told.cursor) == ((), 4, (0, 2))


def test_in_a_flood_the_screen_is_told_and_the_last_lines_when_it_is_over() -> None:
    near = side(rows=4)
    near.tell()
    near.feed(b"".join(b"%d\r\n" % n for n in range(3000)))
    (flood,) = near.tell()
    assert (flood.first, flood.base, len(flood.rows)) == (2997, 2997, 4)
    calm = near.tell(most_bytes=100_000)
    assert [(each.first, len(each.rows)) for each in calm] == [(2997 - SCROLLBACK, SCROLLBACK + 4)]
    assert near.tell() == []


def test_pieces_hold_every_row_in_order_and_none_is_too_long() -> None:
    rows = tuple(f"\x1b[38;5;{n % 256}m한글 {n}\x1b[0m" * 9 for n in range(400))
    cut_up = list(pieces(Delta(10, rows), 20_000))
    assert len(cut_up) > 3
    assert tuple(row for piece in cut_up for row in piece.rows) == rows
    assert [piece.first for piece in cut_up[1:]] == [piece.first + len(piece.rows) for piece in cut_up[:-1]]
    for piece in cut_up:
        assert len(json.dumps(piece.rows, ensure_ascii=False).encode()) <= 20_000 + 2 * len(piece.rows)


def test_a_row_longer_than_a_message_is_cut_off() -> None:
    (piece,) = pieces(Delta(0, ("\x1b[1m" + "한" * 5000,)), 3000)
    assert json_bytes(piece.rows[0]) <= 3000
    assert piece.rows[0].endswith("\x1b[0m")
