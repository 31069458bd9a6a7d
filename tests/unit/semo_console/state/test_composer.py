from functools import partial

import pytest

from semo_console.state import actions, news
from semo_console.state.console import Mode
from semo_console.state.effects import SendPrompt, Unsend
from semo_office.errors import ErrorCode
from semo_office.models import CommandStatus, SessionStatus
from tests.snapshot.scene import session
from tests.unit.semo_console.state.steps import Console, told_receipt

A, B = session(1).session_id, session(2).session_id


@pytest.fixture
def console() -> Console:
    return Console.over(session(1), session(2))


def test_the_target_is_latched_at_the_first_character(console: Console) -> None:
    console.act(actions.write).step(partial(actions.pick, session_id=B))
    assert console.state.composer.target == B
    console.type("m").step(partial(actions.pick, session_id=A))
    assert (console.selected, console.state.composer.target) == (A, B)
    console.type("make").act(actions.send)
    assert [(type(e), e.session_id) for e in console.wanted if isinstance(e, SendPrompt)] == [(SendPrompt, B)]


def test_each_session_keeps_its_own_draft(console: Console) -> None:
    console.act(actions.write).type("for a").step(actions.leave_writing).act(actions.move(1))
    assert console.state.composer.text == ""
    console.act(actions.write).type("for b").step(actions.leave_writing).act(actions.move(-1)).act(actions.write)
    assert console.state.composer.text == "for a"
    assert console.state.composer.drafts == {A: "for a", B: "for b"}


def test_sending_empties_the_draft_and_begins_a_receipt(console: Console) -> None:
    console.act(actions.write).type("make test").act(actions.send)
    (order,) = console.wanted
    assert isinstance(order, SendPrompt)
    assert (order.text, console.state.composer.text) == ("make test", "")
    assert [receipt.command_id for receipt in console.state.receipts.latest_first()] == [order.command_id]
    assert console.state.mode is Mode.WRITE


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(SessionStatus.WAITING_INPUT, "asks something"), (SessionStatus.TERMINATED, "has ended (gone)")],
)
def test_nothing_is_sent_into_a_question_or_a_dead_session(
    console: Console, status: SessionStatus, sentence: str
) -> None:
    console.act(actions.write).type("make").see(session(1, status=status, reason="gone", version=2)).act(actions.send)
    assert (console.wanted, console.state.composer.text) == ([], "make")
    assert sentence in console.notice


def test_an_empty_draft_is_not_sent(console: Console) -> None:
    console.act(actions.write).type(" \n ").act(actions.send)
    assert console.wanted == []


def test_a_prompt_that_did_not_reach_the_office_is_a_draft_again(console: Console) -> None:
    console.act(actions.write).type("make").act(actions.send)
    sent = console.state.receipts.latest_first()[0]
    console.step(partial(news.refuse, command_id=sent.command_id, sentence="The office can't be reached."))
    assert console.state.composer.text == "make"
    assert console.state.receipts.by_id[sent.command_id].ending() == "not sent: The office can't be reached."


def test_what_was_written_meanwhile_goes_before_what_comes_back(console: Console) -> None:
    console.act(actions.write).type("make").act(actions.send).type("another")
    sent = console.state.receipts.latest_first()[0]
    console.step(partial(news.refuse, command_id=sent.command_id, sentence="no"))
    assert console.state.composer.text == "another"


def test_unsend_takes_back_the_newest_that_has_not_begun_and_makes_it_a_draft(console: Console) -> None:
    for text in ("one", "two"):
        console.act(actions.write).type(text).act(actions.send)
    two, one = console.state.receipts.latest_first()
    console.act(actions.unsend)
    assert "Nothing waits" in console.notice
    console.step(partial(news.see_receipt, receipt=told_receipt(one, "queued", "claimed", "typed")))
    console.step(partial(news.see_receipt, receipt=told_receipt(two, "queued", status=CommandStatus.PENDING))).act(
        actions.unsend
    )
    assert console.wanted[-1] == Unsend(two.command_id)
    gone = told_receipt(two, "queued", "failed", status=CommandStatus.FAILED, error=ErrorCode.CANCELLED)
    console.step(partial(news.see_receipt, receipt=gone))
    assert console.state.composer.text == "two"
    assert console.state.receipts.by_id[two.command_id].ending() == "taken back"


def test_a_receipt_that_has_ended_does_not_go_on(console: Console) -> None:
    console.act(actions.write).type("make").act(actions.send)
    sent = console.state.receipts.latest_first()[0]
    done = told_receipt(sent, "queued", "claimed", "typed", "accepted", status=CommandStatus.COMPLETED, exit_status=3)
    console.step(partial(news.see_receipt, receipt=done))
    console.step(partial(news.see_receipt, receipt=told_receipt(sent, "queued", "claimed")))
    assert console.state.receipts.by_id[sent.command_id].ending() == "exit 3"


def test_pasting_outside_of_the_composer_writes_and_runs_nothing(console: Console) -> None:
    console.step(partial(actions.paste, text="Xxq\nrm -rf"))
    assert (console.state.mode, console.state.composer.text, console.wanted) == (Mode.WRITE, "Xxq\nrm -rf", [])
