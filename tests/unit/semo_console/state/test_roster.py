from datetime import timedelta
from functools import partial

from semo_console.state import actions, news
from semo_console.state.conditions import Condition
from semo_office.models import Confidence, SessionStatus
from tests.snapshot.scene import NOW, OTHER_OFFICE, session
from tests.unit.semo_console.state.steps import Console

ASKS, WORKS, READY = SessionStatus.WAITING_INPUT, SessionStatus.EXECUTING, SessionStatus.READY
ERROR, ENDED, CREATING = SessionStatus.ERROR, SessionStatus.TERMINATED, SessionStatus.CREATING


def condition_of(console: Console, number: int) -> Condition:
    return console.state.roster.entries[session(number).session_id].condition


def queue_of(console: Console) -> list[str]:
    return [entry.tag for entry in console.state.roster.waiting()]


def test_the_queue_has_what_asks_before_what_failed_before_what_is_done_and_the_oldest_first() -> None:
    console = Console.over(
        session(9, status=READY, minutes=60),
        session(1, status=WORKS, minutes=60),
        session(2, status=ASKS, minutes=1),
        session(3, status=ERROR, minutes=9),
        session(4, status=ASKS, minutes=4),
        session(5, status=READY, minutes=2).model_copy(update={"confidence": Confidence.LOW}),
    )
    console.see(session(1, status=READY, minutes=0, version=2))
    assert [entry.info.role for entry in console.state.roster.waiting()] == ["BE"] * 5
    assert [condition_of(console, n) for n in (4, 2, 3, 1, 5)] == [
        Condition.ASKS,
        Condition.ASKS,
        Condition.FAILED,
        Condition.DONE,
        Condition.UNSURE,
    ]
    waiting = [entry.session_id for entry in console.state.roster.waiting()]
    assert waiting[:1] == [session(4).session_id]
    assert set(waiting) == {session(n).session_id for n in (1, 2, 3, 4, 5)}


def test_the_order_of_the_queue_does_not_change_while_the_cursor_is_in_it() -> None:
    console = Console.over(session(1, status=ERROR, minutes=9), session(2, status=WORKS))
    assert console.selected == session(1).session_id
    console.see(session(2, status=ASKS, minutes=0, version=2))
    assert queue_of(console) == ["a", "b"]
    console.see(session(1, status=WORKS, version=2))
    assert queue_of(console) == ["a", "b"]
    console.act(actions.go_to_need(1))
    assert (console.selected, queue_of(console)) == (session(2).session_id, ["b"])


def test_news_never_move_the_selection() -> None:
    console = Console.over(session(2, status=READY))
    console.see(session(1, status=ASKS), session(3, status=ASKS), session(2, status=ERROR, version=2))
    assert console.selected == session(2).session_id


def test_w_goes_round_all_offices() -> None:
    console = Console.over(session(1), session(2, status=ASKS, minutes=9), session(3, status=ASKS, office=OTHER_OFFICE))
    seen = [console.act(actions.go_to_need(1)).selected for _ in range(3)]
    assert seen == [session(3).session_id, session(2).session_id, session(3).session_id]
    assert console.act(actions.go_to_need(-1)).selected == session(2).session_id


def test_a_turn_that_ended_is_done_until_it_was_looked_at_for_two_seconds() -> None:
    console = Console.over(session(1), session(2, status=WORKS))
    console.see(session(2, status=READY, minutes=0, version=2))
    assert condition_of(console, 2) is Condition.DONE
    console.act(actions.move(1))
    console.step(partial(news.tick, now=NOW + timedelta(seconds=1.9)))
    assert condition_of(console, 2) is Condition.DONE
    console.step(partial(news.tick, now=NOW + timedelta(seconds=2)))
    assert condition_of(console, 2) is Condition.IDLE


def test_a_session_that_became_ready_for_the_first_time_has_nothing_to_look_at() -> None:
    console = Console.over(session(1, status=CREATING)).see(session(1, status=READY, minutes=0, version=2))
    assert condition_of(console, 1) is Condition.IDLE


def test_a_session_that_died_while_selected_stays_until_one_moves_on() -> None:
    console = Console.over(session(1), session(2))
    console.see(session(1, status=ENDED, minutes=0, reason="exit status 137", version=2))
    assert console.selected == session(1).session_id
    entry = console.state.roster.at_hand
    assert entry is not None
    assert (entry.condition, entry.info.reason) == (Condition.FAILED, "exit status 137")
    console.step(partial(news.tick, now=NOW + timedelta(minutes=5)))
    assert console.selected == session(1).session_id
    console.act(actions.move(1))
    assert [entry.session_id for entry in console.state.roster.listed()] == [session(2).session_id]


def test_a_session_that_died_elsewhere_needs_a_look() -> None:
    console = Console.over(session(1), session(2)).see(session(2, status=ENDED, minutes=0, version=2))
    assert queue_of(console) == ["b"]


def test_a_session_that_was_ended_on_purpose_goes_quietly() -> None:
    console = Console.over(session(1), session(2))
    console.see(session(2, status=ENDED, minutes=0, version=2, source="request"))
    assert [entry.tag for entry in console.state.roster.listed()] == ["a"]
    assert queue_of(console) == []


def test_sessions_that_ended_before_are_not_listed() -> None:
    assert Console.over(session(1, status=ENDED)).state.roster.listed() == []


def test_older_news_change_nothing() -> None:
    console = Console.over(session(1, status=ASKS, version=5)).see(session(1, status=WORKS, version=4))
    assert condition_of(console, 1) is Condition.ASKS


def test_tags_leave_out_g_and_are_never_given_to_another_session() -> None:
    console = Console.over(*(session(n) for n in range(1, 9)))
    assert [entry.tag for entry in console.state.roster.listed()] == list("abcdefhi")
    console.see(session(1, status=ENDED, version=2, source="request")).act(actions.move(1))
    console.see(session(20))
    assert console.state.roster.entries[session(20).session_id].tag == "j"


def test_more_sessions_than_letters_still_have_a_row() -> None:
    console = Console.over(*(session(n) for n in range(60)))
    assert len(console.state.roster.listed()) == 60


def test_g_and_a_tag_goes_there_and_minus_comes_back() -> None:
    console = Console.over(session(1), session(2), session(3))
    console.act(actions.begin_going).step(partial(actions.go_to_tag, tag="c"))
    assert console.selected == session(3).session_id
    assert console.act(actions.go_back).selected == session(1).session_id
    console.act(actions.begin_going).step(partial(actions.go_to_tag, tag="z"))
    assert (console.selected, console.notice) == (session(1).session_id, "No session has the tag z.")
    assert not console.state.going


def test_the_filter_takes_words_and_leaves_out_words() -> None:
    console = Console.over(session(1, "BE"), session(2, "FE", WORKS), session(3, "FE"))
    console.act(actions.find).step(partial(actions.edit_card, text="fe !working"))
    assert [entry.tag for entry in console.state.roster.listed()] == ["c"]
    console.step(actions.close_card)
    assert len(console.state.roster.listed()) == 3
    console.act(actions.find).fill_card("be")
    assert [entry.tag for entry in console.state.roster.listed()] == ["a"]
    assert console.act(actions.step_out).state.roster.filter == ""


def test_moving_stops_at_both_ends() -> None:
    console = Console.over(session(1), session(2))
    assert console.act(actions.move(-5)).selected == session(1).session_id
    assert console.act(actions.move(99)).selected == session(2).session_id


def test_without_any_session_every_key_is_harmless() -> None:
    console = Console.over()
    for action in (actions.move(1), actions.go_to_need(1), actions.go_back, actions.write, actions.answer, actions.why):
        console.act(action)
    for action in (actions.stop_turn, actions.ask_to_end, actions.unsend, actions.pin, actions.zoom, actions.send):
        console.act(action)
    assert (console.selected, console.wanted, console.state.card) == (None, [], None)
