"""Whether a draft stands in the composer."""

import pytest

from semo_agent.composer import Composer, find_composer
from semo_agent.terminals.base import Line, MarkSeen, Position, Screen, Size


def screen(*rows: str, cursor: tuple[int, int], base: int = 0, alternate: bool = False) -> Screen:
    return Screen(
        epoch=0, base=base, rows=tuple(Line(0, base + n, text, text) for n, text in enumerate(rows)),
        cursor_row=cursor[0], cursor_col=cursor[1], cursor_visible=True, alternate=alternate, title="",
        bracketed_paste=True, application_cursor=False, size=Size(20, 5),
    )  # fmt: skip


def mark(kind: str, parameters: str, *at: int) -> MarkSeen:
    return MarkSeen("tab", kind, parameters, Position(0, *at))


def test_the_cursor_right_after_the_prompt_is_an_empty_composer() -> None:
    assert Composer(Position(0, 7, 2)).is_empty(screen("$", cursor=(0, 2), base=7))


@pytest.mark.parametrize(
    ("rows", "cursor"),
    [(["$ draft"], (0, 7)), (["$ draft"], (0, 2)), (["$", "", ""], (1, 0)), (["가나 draft"], (0, 2))],
    ids=["typed", "cursor moved to its beginning", "cursor elsewhere", "after wide characters"],
)
def test_a_draft_is_seen(rows: list[str], cursor: tuple[int, int]) -> None:
    assert not Composer(Position(0, 0, 2)).is_empty(screen(*rows, cursor=cursor))


def test_a_prompt_at_the_right_edge_is_no_draft() -> None:
    with_right_prompt = screen("$              10:42", cursor=(0, 2))
    assert Composer(Position(0, 0, 2), right_prompt=Position(0, 0, 15)).is_empty(with_right_prompt)
    assert not Composer(Position(0, 0, 2)).is_empty(with_right_prompt)


def test_a_prompt_that_fills_its_row_goes_on_in_the_next() -> None:
    assert Composer(Position(0, 0, 20)).is_empty(screen("x" * 20, "", cursor=(1, 0)))


def test_the_alternate_screen_has_no_composer() -> None:
    assert not Composer(Position(0, 0, 2)).is_empty(screen("$", cursor=(0, 2), alternate=True))


def test_the_composer_is_where_our_last_prompt_ended() -> None:
    marks = [
        mark("B", "aid=1", 0, 2), mark("B", "aid=1", 3, 4), mark("P", "k=r;aid=1", 3, 15),
        mark("B", "k=s;aid=1", 4, 2), mark("B", "aid=2", 9, 9),
    ]  # fmt: skip
    assert find_composer(marks, "1") == Composer(Position(0, 3, 4), right_prompt=Position(0, 3, 15))


def test_without_a_prompt_there_is_no_composer() -> None:
    assert find_composer([mark("A", "", 0, 0)], None) is None
