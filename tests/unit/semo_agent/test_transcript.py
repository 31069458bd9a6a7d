import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from semo_agent.emulator import Emulator
from semo_agent.terminals.base import Line, Position, Screen, Size
from semo_agent.transcript import Saved, Transcript, folder_name
from semo_agent.transcript.excerpt import text_between

SIZE = Size(20, 5)


def line(number: int, epoch: int = 0) -> Line:
    return Line(epoch, number, f"line {number}", f"line {number}")


def lines(first: int, last: int, epoch: int = 0) -> list[Line]:
    return [line(number, epoch) for number in range(first, last)]


def save(transcript: Transcript, offset: int, snapshot: bytes = b"screen") -> None:
    batch = transcript.checkpoint(Saved("tab", offset, snapshot))
    transcript.settle(batch, transcript.write(batch))


def reopened(folder: Path, **bounds: int) -> Transcript:
    transcript = Transcript(folder, "tag", **bounds)
    transcript.load()
    return transcript


def kept(transcript: Transcript) -> Sequence[Line]:
    view = transcript.view()
    return view.lines(view.first, view.end)


def test_saved_lines_and_state_are_there_after_a_restart(tmp_path: Path) -> None:
    transcript = reopened(tmp_path, segment_lines=10)
    for at in range(0, 25, 5):
        transcript.append(lines(at, at + 5))
        save(transcript, at, b"screen\nof %d" % at)
    again = reopened(tmp_path, segment_lines=10)
    assert kept(again) == lines(0, 25)
    assert again.saved == Saved("tab", 20, b"screen\nof 20")


def test_lines_written_after_the_last_state_are_cut_off(tmp_path: Path) -> None:
    transcript = reopened(tmp_path)
    transcript.append(lines(0, 3))
    save(transcript, 100)
    state = (transcript.folder / "state").read_bytes()
    transcript.append(lines(3, 9))
    save(transcript, 200)
    # A crash between the lines and the state.
    (transcript.folder / "state").write_bytes(state)
    again = reopened(tmp_path)
    assert (kept(again), again.saved) == (lines(0, 3), Saved("tab", 100, b"screen"))
    again.append(lines(3, 9))
    save(again, 200)
    assert kept(reopened(tmp_path)) == lines(0, 9)


def test_a_segment_begun_after_the_last_state_is_removed(tmp_path: Path) -> None:
    transcript = reopened(tmp_path, segment_lines=3)
    transcript.append(lines(0, 3))
    save(transcript, 100)
    state = (transcript.folder / "state").read_bytes()
    for at in (3, 6):
        transcript.append(lines(at, at + 3))
        save(transcript, 200)
    (transcript.folder / "state").write_bytes(state)
    assert kept(reopened(tmp_path, segment_lines=3)) == lines(0, 3)


def test_lines_added_while_a_batch_is_written_are_not_lost(tmp_path: Path) -> None:
    transcript = reopened(tmp_path, segment_lines=4)
    transcript.append(lines(0, 6))
    batch = transcript.checkpoint(Saved("tab", 1, b""))
    transcript.append(lines(0, 3, epoch=1))
    transcript.settle(batch, transcript.write(batch))
    assert kept(transcript) == [*lines(0, 6), *lines(0, 3, epoch=1)]
    save(transcript, 2)
    again = reopened(tmp_path, segment_lines=4)
    assert kept(again) == [*lines(0, 6), *lines(0, 3, epoch=1)]
    assert again.view().ordinal_at(1, 2) == 8


def test_the_oldest_lines_go_when_there_are_too_many(tmp_path: Path) -> None:
    transcript = reopened(tmp_path, segment_lines=10, most_lines=35)
    for at in range(0, 100, 10):
        transcript.append(lines(at, at + 10))
        save(transcript, at)
    assert kept(transcript) == lines(70, 100)
    assert kept(reopened(tmp_path)) == lines(70, 100)
    assert len(list(transcript.folder.glob("*.jsonl"))) == 3


def test_the_oldest_lines_go_when_they_are_too_big(tmp_path: Path) -> None:
    transcript = reopened(tmp_path, segment_lines=10, most_bytes=2000)
    for at in range(0, 1000, 10):
        transcript.append(lines(at, at + 10))
        save(transcript, at)
    assert sum(path.stat().st_size for path in transcript.folder.glob("*.jsonl")) < 2500
    assert kept(transcript)[-1] == line(999)


def test_a_line_is_found_by_epoch_and_number(tmp_path: Path) -> None:
    transcript = reopened(tmp_path)
    transcript.append([*lines(0, 5), *lines(0, 2, epoch=3), *lines(0, 4, epoch=4)])
    view = transcript.view()
    asked = [(0, 2), (0, 99), (2, 0), (3, 1), (4, 0), (4, 9), (7, 0)]
    assert [view.ordinal_at(*position) for position in asked] == [2, 5, 5, 6, 7, 11, 11]


@pytest.mark.parametrize("damage", [b"", b"nonsense", b'{"version": 99}\n', b'{"version": 1}\n'])
def test_a_damaged_state_starts_the_log_afresh(tmp_path: Path, damage: bytes) -> None:
    transcript = reopened(tmp_path)
    transcript.append(lines(0, 3))
    save(transcript, 100)
    (transcript.folder / "state").write_bytes(damage)
    again = reopened(tmp_path)
    assert (kept(again), again.saved) == ([], None)


def test_a_log_shorter_than_its_state_starts_afresh(tmp_path: Path) -> None:
    transcript = reopened(tmp_path)
    transcript.append(lines(0, 30))
    save(transcript, 100)
    next(transcript.folder.glob("*.jsonl")).write_bytes(b"")
    assert reopened(tmp_path).saved is None


def test_text_that_looks_like_a_line_end_stays_in_its_line(tmp_path: Path) -> None:
    transcript = reopened(tmp_path)
    strange = Line(0, 0, "a\x85b\u2028c\x0bd", "a\x85b\u2028c\x0bd")
    transcript.append([strange])
    save(transcript, 1)
    assert kept(reopened(tmp_path)) == [strange]


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    transcript = reopened(tmp_path)
    transcript.append(lines(0, 3))
    save(transcript, 100)
    assert stat.S_IMODE(transcript.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in transcript.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("tag", ["../../etc", "a/b", "", ".", "x" * 300, "한글"])
def test_no_tag_leads_out_of_the_folder(tmp_path: Path, tag: str) -> None:
    assert (tmp_path / folder_name(tag)).resolve().parent == tmp_path.resolve()


class Session:
    """An emulator and its log, as a tab has them."""

    def __init__(self, folder: Path) -> None:
        self.emulator = Emulator(SIZE)
        self.transcript = reopened(folder)

    def feed(self, data: bytes) -> Position:
        self.transcript.append(self.emulator.feed(data).lines)
        return self.emulator.position()

    def text(self, start: Position, end: Position, max_bytes: int = 10_000) -> tuple[str, int]:
        screen: Screen = self.emulator.screen()
        excerpt = text_between(self.transcript.view(), screen, start, end, max_bytes)
        return excerpt.text, excerpt.left_out


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_output_on_the_screen_is_cut_at_its_columns(session: Session) -> None:
    start = session.feed("한글 > ".encode())
    end = session.feed("출력 🎉 e\u0301".encode())
    session.feed(b"$ ")
    assert session.text(start, end) == ("출력 🎉 e\u0301", 0)


def test_output_that_scrolled_off_is_whole(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    end = session.feed(b"".join(b"%d\r\n" % number for number in range(50)))
    session.feed(b"$ ")
    assert session.text(start, end) == ("\n".join(str(number) for number in range(50)), 0)


def test_wrapped_rows_are_joined(session: Session) -> None:
    text = "word " * 20 + "한" * 15 + "!"
    start = session.feed(b"$ run\r\n")
    end = session.feed(text.encode() + b"\r\nnext\r\n")
    assert session.text(start, end) == (text + "\nnext", 0)


def test_empty_lines_at_the_end_are_output(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    end = session.feed(b"a\r\n\r\n\r\n")
    assert session.text(start, end) == ("a\n\n", 0)


def test_no_output_is_an_empty_text(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    assert session.text(start, start) == ("", 0)


def test_of_too_much_output_the_end_is_kept(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    end = session.feed(b"".join(b"%04d\r\n" % number for number in range(1000)))
    assert session.text(start, end, 50) == ("\n".join(f"{number:04}" for number in range(990, 1000)), 990)


def test_after_a_clear_the_text_begins_at_the_top_of_the_screen(session: Session) -> None:
    start = session.feed(b"one\r\ntwo\r\n$ run\r\n")
    end = session.feed(b"\x1b[H\x1b[2Jfresh\r\n")
    assert session.text(start, end) == ("fresh", 0)


def test_after_a_clear_of_the_scrollback_the_text_goes_on_in_the_next_epoch(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    session.feed(b"".join(b"%d\r\n" % number for number in range(8)))
    end = session.feed(b"\x1b[H\x1b[2J\x1b[3Jfresh\r\n")
    assert session.text(start, end) == ("0\n1\n2\n3\nfresh", 0)


def test_the_alternate_screen_is_no_output(session: Session) -> None:
    start = session.feed(b"$ run\r\n")
    session.feed(b"before\r\n\x1b[?1049hscreen\r\nfull\x1b[?1049l")
    end = session.feed(b"after\r\n")
    assert session.text(start, end) == ("before\nafter", 0)
