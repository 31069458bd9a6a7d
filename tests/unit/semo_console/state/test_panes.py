import pytest

from semo_console.state import actions
from semo_console.state.console import Region
from semo_console.state.output import extent_of, last_rows
from semo_console.state.panes import Extent
from tests.snapshot.scene import Rows, session
from tests.unit.semo_console.state.steps import Console

LONG = Extent(0, 100, 10)


def test_the_first_pane_follows_the_selection_and_the_others_stay() -> None:
    console = Console.over(*(session(n) for n in (1, 2, 3, 4))).act(actions.change_layout(1))
    console.act(actions.move(3))
    assert console.state.panes.shown == (session(4).session_id, session(2).session_id)


def test_layouts_go_round() -> None:
    console = Console.over(*(session(n) for n in range(1, 6)))
    counts = [len(console.act(actions.change_layout(1)).state.panes.panes) for _ in range(3)]
    assert counts == [2, 4, 1]
    assert len(console.act(actions.change_layout(-1)).state.panes.panes) == 4


def test_pin_keeps_the_selected_session_in_another_pane() -> None:
    console = Console.over(*(session(n) for n in (1, 2, 3)))
    assert "one pane only" in console.act(actions.pin).notice
    console.act(actions.change_layout(1)).act(actions.move(2)).act(actions.pin).act(actions.move(-1))
    assert console.state.panes.shown == (session(2).session_id, session(3).session_id)


def test_tab_goes_through_queue_list_and_panes_and_back() -> None:
    console = Console.over(session(1), session(2)).act(actions.change_layout(1))
    seen = [(console.act(actions.next_region(1)).state.region, console.state.panes.focused) for _ in range(3)]
    assert seen == [(Region.PANES, 0), (Region.PANES, 1), (Region.TREE, None)]
    assert console.act(actions.next_region(-1)).state.panes.focused == 1


def test_a_pane_that_is_not_there_can_not_be_focused() -> None:
    console = Console.over(session(1)).act(actions.focus_pane(2))
    assert (console.state.region, console.state.panes.focused) == (Region.TREE, None)


@pytest.mark.parametrize(
    ("wanted", "by", "then"),
    [(None, -5, 85), (85, -200, 0), (85, 4, 89), (85, 5, None), (None, 1, None), (0, -1, 0), (500, -1, 89)],
)
def test_scrolling_stops_at_the_first_row_and_follows_again_at_the_end(
    wanted: int | None, by: int, then: int | None
) -> None:
    assert LONG.scrolled(wanted, by) == then


def test_a_place_that_is_no_longer_kept_shows_the_first_row_that_is() -> None:
    assert Extent(50, 100, 10).top_of(3) == 50


def test_less_output_than_the_pane_is_high_does_not_scroll() -> None:
    assert Extent(0, 3, 10).scrolled(None, -1) is None


def test_keys_scroll_the_focused_pane_and_follow_brings_it_back() -> None:
    console = Console.over(session(1), session(2)).act(actions.change_layout(1)).act(actions.focus_pane(1))
    console.act(actions.scroll(lambda height: -height // 2), LONG)
    assert [pane.top for pane in console.state.panes.panes] == [None, 85]
    console.act(actions.move(-3), LONG)
    assert console.state.panes.panes[1].top == 82
    assert console.act(actions.follow).state.panes.panes[1].top is None


def test_another_session_in_the_first_pane_is_seen_from_its_end() -> None:
    console = Console.over(session(1), session(2)).act(actions.scroll(lambda _: -5), LONG).act(actions.move(1))
    assert console.state.panes.panes[0].top is None


def test_empty_rows_below_the_cursor_are_not_shown() -> None:
    screen = Rows("$ ls", "a  b", "$ ", "", "\x1b[0m   ", "", cursor=None)
    assert extent_of(screen, 10) == Extent(0, 3, 10)


def test_the_row_of_the_cursor_is_shown_even_when_it_is_empty() -> None:
    screen = Rows("$ cat", "", "", "", cursor=(1, 0))
    screen.base = 0
    assert extent_of(screen, 10).end == 2


def test_the_question_is_the_last_rows_with_text_without_colours() -> None:
    assert last_rows(Rows("old", "", "\x1b[1;31mReally?\x1b[0m", "> ", ""), 2) == ["Really?", ">"]
