from functools import partial

import pytest

from semo_console.state import actions
from semo_console.state.cards import AnswerCard, EndCard
from semo_console.state.console import Mode
from semo_console.state.effects import EndSession, NewSession, SendAnswer, StopTurn
from semo_office.models import SessionStatus
from tests.snapshot.scene import OFFICE, session
from tests.unit.semo_console.state.steps import Console

ASKS, WORKS = SessionStatus.WAITING_INPUT, SessionStatus.EXECUTING


def test_answer_goes_to_the_first_that_asks_and_sends_what_was_typed() -> None:
    console = Console.over(session(1), session(2, status=ASKS, minutes=9), session(3, status=ASKS, minutes=4))
    console.step(partial(actions.pick, session_id=session(1).session_id)).act(actions.answer)
    assert (console.selected, console.state.mode) == (session(2).session_id, Mode.CARD)
    console.fill_card("'")
    (order,) = console.wanted
    assert isinstance(order, SendAnswer)
    assert (order.session_id, order.text, console.state.card) == (session(2).session_id, "'", None)


def test_the_selected_session_is_answered_before_an_older_question() -> None:
    console = Console.over(session(1, status=ASKS, minutes=9), session(2, status=ASKS))
    console.step(partial(actions.pick, session_id=session(2).session_id)).act(actions.answer)
    assert console.state.card == AnswerCard(session(2).session_id, session(2, status=ASKS).status_as_of)


def test_an_answer_is_not_sent_to_another_question() -> None:
    console = Console.over(session(1, status=ASKS, minutes=4)).act(actions.answer)
    console.see(session(1, status=ASKS, minutes=0, version=2)).fill_card("yes")
    assert console.wanted == []
    assert "something else" in console.notice
    assert len(console.act(actions.submit_card).wanted) == 1


def test_an_answer_is_not_sent_when_nobody_asks_any_more() -> None:
    console = Console.over(session(1, status=ASKS)).act(actions.answer)
    console.see(session(1, status=WORKS, minutes=0, version=2)).fill_card("yes")
    assert (console.wanted, console.state.card) == ([], None)
    assert "no longer asks" in console.notice


def test_closing_a_card_sends_nothing() -> None:
    console = Console.over(session(1, status=ASKS)).act(actions.answer)
    console.step(partial(actions.edit_card, text="yes")).step(actions.close_card)
    assert (console.wanted, console.state.mode, console.state.card_text) == ([], Mode.NAV, "")


def test_an_idle_session_ends_after_one_question() -> None:
    console = Console.over(session(1)).act(actions.ask_to_end)
    assert (console.wanted, console.state.card) == ([], EndCard(session(1).session_id, type_tag=False))
    (order,) = console.act(actions.submit_card).wanted
    assert isinstance(order, EndSession)


@pytest.mark.parametrize("status", [WORKS, ASKS])
def test_a_busy_session_ends_only_when_its_tag_is_typed(status: SessionStatus) -> None:
    console = Console.over(session(1, status=status)).act(actions.ask_to_end).act(actions.submit_card)
    assert console.wanted == []
    assert len(console.fill_card("a").wanted) == 1


def test_a_new_session_has_the_role_of_the_selected_one_unless_another_is_typed() -> None:
    console = Console.over(session(1, "BE")).act(actions.ask_for_new).fill_card("")
    console.act(actions.ask_for_new).fill_card("QA receiver")
    made = [(order.office_id, order.role, order.profile) for order in console.wanted if isinstance(order, NewSession)]
    assert made == [(OFFICE.id, "BE", "shell"), (OFFICE.id, "QA", "receiver")]


def test_a_new_session_needs_no_other() -> None:
    (order,) = Console.over().act(actions.ask_for_new).fill_card("").wanted
    assert isinstance(order, NewSession)
    assert order.role == "shell"


def test_stop_is_for_the_session_of_the_focused_pane() -> None:
    console = Console.over(session(1), session(2)).act(actions.change_layout(1)).act(actions.focus_pane(1))
    (order,) = console.act(actions.stop_turn).wanted
    assert isinstance(order, StopTurn)
    assert order.session_id == session(2).session_id
