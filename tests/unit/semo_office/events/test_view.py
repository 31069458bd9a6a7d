from collections.abc import Sequence
from uuid import UUID, uuid4

from semo_office.events import Applied, OutputView, SessionOutput

SESSION, INSTANCE = uuid4(), uuid4()


def output(
    seq: int, first: int, rows: Sequence[str], *, base: int = 0, epoch: int = 0, instance: UUID = INSTANCE
) -> SessionOutput:
    return SessionOutput(
        session_id=SESSION, instance=instance, seq=seq, epoch=epoch, first=first, rows=tuple(rows), base=base,
        cols=80, screen_rows=3, cursor=(0, seq), cursor_row=0, alternate=False, title="", at_ms=0,
    )  # fmt: skip


def view_of(*outputs: SessionOutput, most_rows: int = 100) -> OutputView:
    view = OutputView(most_rows)
    for each in outputs:
        view.apply(each)
    return view


def test_the_first_message_is_taken_when_it_begins_above_the_screen() -> None:
    view = OutputView()
    assert view.apply(output(7, 2, "abc", base=2)) == Applied(2)
    assert (list(view.rows()), view.at(3), view.at(1), view.end) == (["a", "b", "c"], "b", None, 5)


def test_a_part_of_a_screen_that_is_not_known_is_a_gap() -> None:
    assert OutputView().apply(output(7, 3, "bc", base=2)) == Applied(None, gap=True)


def test_a_delta_replaces_everything_from_its_first_row() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(2, 1, "xyz", base=1)) == Applied(1)
    assert list(view.rows()) == ["a", "x", "y", "z"]


def test_only_what_differs_is_told_as_changed() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(2, 0, "abX")) == Applied(2)
    assert view.apply(output(3, 0, "abX")) == Applied(None)
    assert view.apply(output(4, 0, "ab")) == Applied(2)
    assert list(view.rows()) == ["a", "b"]


def test_a_moved_cursor_changes_no_row() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(2, 3, "")) == Applied(None)
    assert view.cursor == (0, 2)


def test_a_repeated_message_changes_nothing() -> None:
    view = view_of(output(1, 0, "abc"), output(2, 2, "d"))
    assert view.apply(output(1, 0, "abc")) == Applied(None)
    assert list(view.rows()) == ["a", "b", "d"]


def test_after_a_lost_message_deltas_are_gaps_until_a_whole_screen_comes() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(3, 2, "d")).gap
    assert view.apply(output(4, 2, "e")).gap
    assert list(view.rows()) == ["a", "b", "c"]
    assert view.apply(output(5, 0, "xyz")) == Applied(0)
    assert view.apply(output(6, 2, "d")) == Applied(2)


def test_lines_that_had_left_the_screen_outlive_a_gap_and_rows_of_the_screen_do_not() -> None:
    view = view_of(output(1, 0, "abcdef", base=3))
    view.apply(output(4, 3, "DEF", base=3))
    assert list(view.rows()) == [*"abc", *"DEF"]
    view.apply(output(9, 5, "FGH", base=5))
    assert (view.first, list(view.rows())) == (5, [*"FGH"])


def test_what_was_passed_over_in_a_flood_is_left_out_and_no_gap() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(2, 900, "xyz", base=900)) == Applied(900)
    assert (view.first, view.base, list(view.rows())) == (900, 900, ["x", "y", "z"])


def test_another_process_of_the_agent_begins_anew() -> None:
    view, other = view_of(output(5, 0, "abc")), uuid4()
    assert view.apply(output(6, 2, "d", instance=other)).gap
    assert view.apply(output(7, 1, "xyz", base=1, instance=other)) == Applied(1)
    assert list(view.rows()) == ["x", "y", "z"]


def test_a_new_epoch_begins_anew() -> None:
    view = view_of(output(1, 0, "abc"))
    assert view.apply(output(2, 0, "x", epoch=1)) == Applied(0)
    assert (view.epoch, list(view.rows())) == (1, ["x"])
    assert view.apply(output(3, 2, "y", epoch=2)).gap


def test_the_oldest_rows_are_forgotten_first() -> None:
    view = view_of(output(1, 0, "abc", base=0), most_rows=4)
    view.apply(output(2, 3, "def", base=3))
    assert (view.first, list(view.rows())) == (2, ["c", "d", "e", "f"])
