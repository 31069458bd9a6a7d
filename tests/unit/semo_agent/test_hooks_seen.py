"""From the events of a CLI's hooks to states and turns, without a terminal."""

from dataclasses import replace
from functools import reduce

import pytest

from semo_agent.detector import FINISHED_KEPT, MESSAGES_KEPT, Sighting, observe
from semo_agent.evidence import Answered, ComposerSeen, DialogSeen, Evidence, Failure, HookSeen, Interrupted
from semo_agent.profiles.hooks import Meaning
from semo_agent.terminals.base import Exited, ExitStatus, Position
from semo_office.models import SessionStatus

AT = Position(0, 3, 2)


def hook(
    means: str, at: int = 0, *, question: str | None = None, message: str | None = None, failure: Failure | None = None
) -> HookSeen:
    """at: its second; 0: the next one."""
    ordinal = at * 1_000_000_000
    return HookSeen(means.title(), Meaning(means), ordinal, question=question, message=message, failure=failure)


def seen(*events: Evidence, start: Sighting | None = None) -> Sighting:
    """After these events, a second apart."""
    sighting = start or Sighting()
    first = sighting.hooks_seen // 1_000_000_000 + 1

    def step(known: Sighting, numbered: tuple[int, Evidence]) -> Sighting:
        second, event = numbered
        if isinstance(event, HookSeen) and event.ordinal == 0:
            event = replace(event, ordinal=second * 1_000_000_000)
        return observe(known, event, now=float(second))

    return reduce(step, enumerate(events, start=first), sighting)


READY = seen(hook("ready"), ComposerSeen(AT))
RUNNING = seen(hook("accepted"), start=READY)


def test_a_session_is_ready_when_a_hook_and_the_screen_say_so() -> None:
    assert seen(hook("ready")).status is SessionStatus.CREATING
    assert seen(ComposerSeen(AT)).status is SessionStatus.CREATING
    assert (READY.status, READY.source, READY.composer) == (SessionStatus.READY, "hooks", AT)


def test_an_accepted_prompt_begins_a_turn() -> None:
    assert RUNNING.status is SessionStatus.EXECUTING
    assert RUNNING.turn is not None
    assert (RUNNING.turn.number, RUNNING.turn.from_mark, RUNNING.turn.output_begins) == (1, "Accepted", None)


def test_a_prompt_that_the_program_had_queued_belongs_to_the_turn() -> None:
    ended = seen(hook("accepted"), hook("ended"), start=RUNNING)
    assert (ended.begun, ended.ended) == (1, 1)


def test_a_turn_ends_with_the_last_message_of_the_cli() -> None:
    ended = seen(hook("ended", message="했습니다"), start=RUNNING)
    turn = ended.finished_turn(1)
    assert turn is not None
    assert (ended.status, turn.message, turn.failure) == (SessionStatus.READY, "했습니다", None)


def test_a_turn_lasts_from_event_to_event_whenever_they_are_read() -> None:
    late = observe(RUNNING, hook("ended", at=9), now=500.0).finished_turn(1)
    assert late is not None
    assert late.ended == 9.0


def test_a_failed_turn_has_ended_and_says_why() -> None:
    failure = Failure("auth", "Log in.")
    turn = seen(hook("failed", failure=failure), start=RUNNING).finished_turn(1)
    assert turn is not None
    assert turn.failure == failure


def test_a_question_is_waiting_until_the_program_goes_on() -> None:
    asking = seen(hook("asks", question="Which?"), start=RUNNING)
    assert (asking.status, asking.reason) == (SessionStatus.WAITING_INPUT, "Which?")
    for goes_on in (hook("working"), Answered()):
        after = seen(goes_on, start=asking)
        assert (after.status, after.reason) == (SessionStatus.EXECUTING, None)
    assert seen(hook("ended"), start=asking).status is SessionStatus.READY


@pytest.mark.parametrize("event", [hook("asks", question="late"), hook("working"), hook("ended"), Answered()])
def test_what_comes_late_after_a_turn_changes_no_state(event: Evidence) -> None:
    after = seen(event, start=seen(hook("ended"), start=RUNNING))
    assert (after.status, after.begun, after.ended) == (SessionStatus.READY, 1, 1)


@pytest.mark.parametrize("event", [ComposerSeen(AT), DialogSeen("Trust?")])
def test_the_screen_alone_ends_no_turn_and_asks_nothing_in_it(event: Evidence) -> None:
    assert seen(event, start=RUNNING) == RUNNING


def test_a_turn_that_a_key_stopped_is_over() -> None:
    after = seen(Interrupted(), start=RUNNING)
    assert (after.status, after.source, after.ended) == (SessionStatus.READY, "screen", 1)


def test_an_event_that_is_read_again_changes_nothing() -> None:
    ended = observe(RUNNING, hook("ended", at=7), now=7.0)
    begun = observe(ended, hook("accepted", at=8), now=8.0)
    assert observe(begun, hook("ended", at=7), now=9.0) == begun
    assert observe(begun, hook("accepted", at=8), now=9.0) == begun


def test_a_dialog_of_the_start_is_waiting_and_its_answer_starts_again() -> None:
    asking = seen(DialogSeen("Trust?"))
    assert (asking.status, asking.reason, asking.source) == (SessionStatus.WAITING_INPUT, "Trust?", "screen")
    assert seen(Answered(), start=asking).status is SessionStatus.CREATING
    assert seen(Answered(), hook("ready"), ComposerSeen(AT), start=asking).status is SessionStatus.READY


def test_a_program_that_ends_cuts_its_turn_short_and_nothing_is_heard_of_it_after() -> None:
    over = seen(Exited("tab", ExitStatus(code=7)), hook("ended"), Interrupted(), start=RUNNING)
    turn = over.finished_turn(1)
    assert turn is not None
    assert (over.status, turn.cut_short, turn.message) == (SessionStatus.TERMINATED, True, None)


def test_messages_of_long_ago_are_not_kept() -> None:
    turns = [event for n in range(FINISHED_KEPT) for event in (hook("accepted"), hook("ended", message=str(n)))]
    messages = [turn.message for turn in seen(*turns, start=READY).finished]
    assert len(messages) == FINISHED_KEPT
    assert [message for message in messages if message] == [str(n) for n in range(FINISHED_KEPT)][-MESSAGES_KEPT:]
