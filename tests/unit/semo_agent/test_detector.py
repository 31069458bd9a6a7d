"""From marks to states and turns, without a terminal."""

from dataclasses import replace
from functools import reduce

from semo_agent.detector import CONTINUATION, FINISHED_KEPT, Sighting, observe
from semo_agent.terminals.base import Changed, Exited, ExitStatus, MarkSeen, Position, TerminalEvent, TitleChanged
from semo_office.models import SessionStatus


def mark(kind: str, parameters: str = "", line: int = 0, column: int = 0) -> MarkSeen:
    return MarkSeen("tab", kind, parameters, Position(0, line, column))


def seen(*events: TerminalEvent, start: Sighting | None = None, mark_id: str | None = None) -> Sighting:
    """After these events, one a second."""
    steps = enumerate(events, start=1)
    return reduce(lambda s, step: observe(s, step[1], now=float(step[0]), mark_id=mark_id), steps, start or Sighting())


PROMPT = (mark("A"), mark("B", column=2))
READY = seen(mark("D", "0"), *PROMPT)


def test_a_session_is_creating_before_its_first_prompt() -> None:
    assert seen(mark("D", "0"), mark("A")).status is SessionStatus.CREATING


def test_a_prompt_says_ready_and_where_text_begins() -> None:
    assert (READY.status, READY.source) == (SessionStatus.READY, "osc133")
    assert READY.composer == Position(0, 0, 2)


def test_the_status_before_the_first_prompt_is_no_turn() -> None:
    assert (READY.begun, READY.ended) == (0, 0)


def test_output_says_executing_and_begins_a_turn() -> None:
    running = seen(mark("C", line=1), start=READY)
    assert running.status is SessionStatus.EXECUTING
    assert running.turn is not None
    assert (running.turn.number, running.turn.output_begins) == (1, Position(0, 1))


def test_a_turn_is_not_over_at_its_exit_status() -> None:
    after = seen(mark("C", line=1), mark("D", "3", line=2), start=READY)
    assert after.status is SessionStatus.EXECUTING
    assert after.finished_turn(1) is None


def test_a_turn_is_over_at_the_next_prompt() -> None:
    after = seen(mark("C", line=1), mark("D", "3", line=2), *PROMPT, start=READY)
    turn = after.finished_turn(1)
    assert turn is not None
    assert (turn.exit_status, turn.output_ends, turn.began, turn.ended) == (3, Position(0, 2), 1.0, 4.0)
    assert (after.status, after.turn) == (SessionStatus.READY, None)


def test_several_commands_without_a_prompt_between_are_one_turn() -> None:
    commands = (mark("C", line=1), mark("D", "1", line=2), mark("C", line=2), mark("D", "0", line=3))
    turn = seen(*commands, *PROMPT, start=READY).finished_turn(1)
    assert turn is not None
    assert (turn.exit_status, turn.output_begins, turn.output_ends) == (0, Position(0, 1), Position(0, 3))


def test_a_line_that_ran_nothing_is_a_turn_of_its_own_kind() -> None:
    turn = seen(mark("D", "2", line=2), *PROMPT, start=READY).finished_turn(1)
    assert turn is not None
    assert (turn.from_mark, turn.exit_status) == ("D", 2)


def test_a_prompt_that_is_drawn_anew_ends_nothing() -> None:
    again = seen(*PROMPT, start=READY)
    assert (again.begun, again.ended, again.since) == (READY.begun, READY.ended, READY.since)


def test_a_continuation_asks_at_once() -> None:
    asking = seen(mark("A", "k=s"), start=READY)
    assert (asking.status, asking.reason) == (SessionStatus.WAITING_INPUT, CONTINUATION)


def test_an_answered_continuation_begins_the_turn() -> None:
    running = seen(mark("A", "k=s"), mark("B", "k=s"), mark("C"), start=READY)
    assert (running.status, running.reason, running.begun) == (SessionStatus.EXECUTING, None, 1)


def test_a_continuation_inside_a_turn_does_not_end_it() -> None:
    asking = seen(mark("C"), mark("D", "0"), mark("A", "k=s"), mark("B", "k=s"), start=READY)
    assert asking.asks
    assert asking.turn is not None
    assert asking.ended == 0


def test_an_interrupted_continuation_is_a_turn_with_its_status() -> None:
    turn = seen(mark("A", "k=s"), mark("D", "130"), *PROMPT, start=READY).finished_turn(1)
    assert turn is not None
    assert (turn.from_mark, turn.exit_status) == ("D", 130)


def test_a_status_that_is_not_named_is_not_known() -> None:
    turn = seen(mark("C"), mark("D", ";aid=x"), *PROMPT, start=READY).finished_turn(1)
    assert turn is not None
    assert turn.exit_status is None


def test_the_end_of_the_program_ends_turn_and_session() -> None:
    after = seen(mark("C"), Exited("tab", ExitStatus(code=3)), start=READY)
    turn = after.finished_turn(1)
    assert turn is not None
    assert (turn.exit_status, turn.cut_short) == (3, True)
    assert (after.status, after.source) == (SessionStatus.TERMINATED, "exit")
    assert after.reason == "the program ended with exit status 3"


def test_a_signal_is_named() -> None:
    after = seen(Exited("tab", ExitStatus(signal=9)), start=READY)
    assert after.reason == "the program was ended by signal 9"


def test_nothing_is_seen_after_the_end() -> None:
    after = seen(Exited("tab", ExitStatus(code=0)), *PROMPT, start=READY)
    assert after.over


def test_a_title_changes_no_state() -> None:
    titled = seen(TitleChanged("tab", "new"), start=READY)
    assert (titled.title, titled.status, titled.since) == ("new", READY.status, READY.since)


def test_a_change_of_the_screen_says_nothing() -> None:
    assert seen(Changed("tab"), start=READY) == READY


def test_marks_without_our_id_are_not_believed() -> None:
    ours = seen(mark("B", "aid=1"), mark_id="1")
    assert ours.status is SessionStatus.READY
    assert seen(mark("C"), mark("C", "aid=2"), start=ours, mark_id="1") == ours


def test_only_the_last_turns_are_kept() -> None:
    turn = (mark("C"), mark("D", "0"), *PROMPT)
    after = seen(*turn * (FINISHED_KEPT + 5), start=READY)
    assert after.ended == FINISHED_KEPT + 5
    assert after.finished_turn(5) is None
    assert after.finished_turn(FINISHED_KEPT + 5) is not None


def test_a_mark_that_was_seen_changes_nothing_when_it_is_read_again() -> None:
    marks = [replace(mark(kind), ordinal=number) for number, kind in enumerate("ABCDAB", 1)]
    once = seen(*marks)
    assert once.ended == 1
    assert seen(*marks[2:], start=once) == once
