from functools import partial

from semo_console.state import actions, news
from semo_console.state.conditions import Condition
from semo_console.state.console import ConsoleState
from semo_console.state.memory import Memory, remember, restore
from semo_office.models import SessionInfo, SessionStatus
from tests.snapshot.scene import NOW, OFFICE, session
from tests.unit.semo_console.state.steps import Console


def begin_again(state: ConsoleState, *sessions: SessionInfo) -> Console:
    """A later console, after the file was written and read."""
    memory = Memory.model_validate_json(remember(state).model_dump_json())
    console = Console(restore(memory, NOW))
    console.step(partial(news.see_offices, offices=(OFFICE,))).see(*sessions)
    return console.step(news.see_all_loaded)


def test_selection_layout_drafts_and_tags_are_as_they_were() -> None:
    sessions = [session(n) for n in (1, 2, 3)]
    console = Console.over(*sessions).act(actions.change_layout(1)).act(actions.move(2)).act(actions.zoom)
    console.act(actions.write).type("not sent\n한글").step(actions.leave_writing)
    again = begin_again(console.state, session(9), *sessions).state
    assert again.roster.selected == session(3).session_id
    assert again.panes == console.state.panes
    assert again.composer.text == "not sent\n한글"
    assert {entry.tag for entry in again.roster.listed()} == {"a", "b", "c", "d"}
    assert again.roster.entries[session(9).session_id].tag == "d"


def test_a_selected_session_that_is_gone_gives_way_to_the_first_that_needs_a_person() -> None:
    console = Console.over(session(1), session(2)).act(actions.move(1))
    again = begin_again(console.state, session(1), session(3, status=SessionStatus.WAITING_INPUT))
    assert again.selected == session(3).session_id


def test_a_turn_that_ended_while_no_console_was_open_is_done() -> None:
    console = Console.over(session(1), session(2, status=SessionStatus.EXECUTING))
    again = begin_again(console.state, session(1), session(2, minutes=1, version=2))
    assert again.state.roster.entries[session(2).session_id].condition is Condition.DONE


def test_what_was_read_stays_read() -> None:
    console = Console.over(session(1), session(2))
    again = begin_again(console.state, session(1), session(2))
    assert again.state.roster.queue == ()


def test_tags_of_sessions_that_are_gone_are_forgotten_once_there_are_many() -> None:
    console = Console.over(*(session(n) for n in range(250)))
    for n in range(1, 250):
        console.see(session(n, status=SessionStatus.TERMINATED, version=2, source="request"))
    assert len(remember(console.state).tags) == 1
