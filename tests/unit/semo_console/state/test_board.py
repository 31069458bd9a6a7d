from datetime import timedelta
from functools import partial

import pytest

from semo_console.state import boarding, news
from semo_console.state.actions import Action
from semo_console.state.board import Board, Tab
from semo_console.state.board_lines import breakers_in_short, page, pool_in_short
from semo_console.state.cards import BoardCard
from semo_console.state.console import Mode
from semo_console.state.effects import CancelJob, JudgeJob, ResetBreaker, RetryJob
from semo_office.breaker import CircuitState
from semo_office.models import AttemptStatus, JobStatus
from tests.snapshot.scene import NOW, OFFICE, session
from tests.snapshot.work import HOST, attempt, breaker, job, job_id, work
from tests.unit.semo_console.state.steps import Console


def console() -> Console:
    made = Console.over(session(1), session(2))
    for change in work(session(2).session_id):
        made.step(change)
    return made


def on_jobs(made: Console, row: int) -> Console:
    made.act(boarding.open_page(Tab.JOBS))
    for _ in range(row):
        made.act(boarding.choose(1))
    return made


def text_of(made: Console, tab: Tab, chosen: int = 0) -> str:
    return "\n".join(row.text for row in page(made.state, tab, chosen, 90))


def test_a_job_is_listed_after_all_that_it_waits_for_and_deeper() -> None:
    board = Board()
    last, then = job(4, "last", JobStatus.PENDING, 1, 2), job(2, "then", JobStatus.PENDING, 1)
    for each in (last, then, job(3, "other", JobStatus.READY), job(1, "first", JobStatus.DONE)):
        board = board.see_job(each)
    placed = [(each.job.title, each.depth) for each in board.listed_jobs()]
    assert placed == [("first", 0), ("then", 1), ("other", 0), ("last", 2)]


def test_older_news_of_a_job_or_an_attempt_change_nothing() -> None:
    newer = job(1, "Build", JobStatus.DONE).model_copy(update={"version": 2})
    board = Board().see_job(newer).see_job(job(1, "Build", JobStatus.PROCESSING))
    assert board.jobs[job_id(1)].status is JobStatus.DONE
    ended = attempt(1, AttemptStatus.DONE)
    board = board.see_attempt(ended).see_attempt(attempt(1, AttemptStatus.RUNNING))
    assert board.attempts[job_id(1)] == ended


def test_the_page_of_jobs_shows_the_evidence_of_the_chosen_one() -> None:
    made = console()
    shown = text_of(made, Tab.JOBS, chosen=made.state.board.row_of(Tab.JOBS, str(job_id(3))))
    for part in ("Unit tests", "exit 2", "Build (done)", "| make: *** [test] 오류 2", "1m"):
        assert part in shown


def test_a_pause_counts_down_by_the_console_s_own_clock() -> None:
    made = console()
    assert "claude paused, next try 0:41" in breakers_in_short(made.state)[0]
    made.step(partial(news.tick, now=NOW + timedelta(seconds=39.5)))
    assert "next try 0:02" in breakers_in_short(made.state)[0]
    made.step(partial(news.tick, now=NOW + timedelta(seconds=90)))
    assert "next try 0:00" in breakers_in_short(made.state)[0]


def test_a_breaker_that_was_opened_by_hand_says_so() -> None:
    made = Console.over(session(1))
    opened = breaker("claude", CircuitState.OPEN)
    made.step(partial(news.see_breakers, office_id=OFFICE.id, breakers=(opened,)))
    assert "paused by hand" in breakers_in_short(made.state)[0]


def test_the_pool_shows_spares_beside_those_wanted_and_the_last_decision_with_its_reason() -> None:
    made = console()
    assert "BE 0w/2 1/1 spare" in pool_in_short(made.state)
    assert "QA 0w/0 0/1 spare" in pool_in_short(made.state)
    shown = text_of(made, Tab.POOL)
    for part in (
        "cold sessions 2 of 3",
        "0/1",
        "1 on hosts that are gone",
        "cold start: the spare QA session was older than 4 h",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("act", "row", "effect"),
    [
        (boarding.retry, 2, RetryJob(job_id(3))),
        (boarding.cancel, 4, CancelJob(job_id(5))),
        (boarding.judge(done=True), 1, JudgeJob(job_id(2), done=True)),
        (boarding.judge(done=False), 1, JudgeJob(job_id(2), done=False)),
    ],
)
def test_what_is_done_to_a_job_is_done_to_the_chosen_one(act: Action, row: int, effect: object) -> None:
    made = console()
    order = [placed.job.id for placed in made.state.board.listed_jobs()]
    wanted = {2: job_id(3), 4: job_id(5), 1: job_id(2)}[row]
    on_jobs(made, order.index(wanted)).act(act)
    assert made.wanted == [effect]


@pytest.mark.parametrize("act", [boarding.retry, boarding.judge(done=True)])
def test_a_job_that_is_done_is_neither_tried_again_nor_judged(act: Action) -> None:
    made = on_jobs(console(), 0)
    made.act(act)
    assert made.wanted == []
    assert made.notice


def test_enter_goes_to_the_session_that_works_on_the_job() -> None:
    made = console()
    at = [placed.job.id for placed in made.state.board.listed_jobs()].index(job_id(5))
    on_jobs(made, at).act(boarding.go_to_session)
    assert (made.selected, made.state.mode) == (session(2).session_id, Mode.NAV)


def test_a_reset_is_for_the_chosen_breaker() -> None:
    made = console()
    made.act(boarding.open_page(Tab.BREAKERS))
    made.act(boarding.reset)
    assert made.wanted == [ResetBreaker(OFFICE.id, HOST, "claude")]


def test_pages_follow_one_another_round_and_round() -> None:
    made = console()
    seen = []
    for _ in range(4):
        made.act(boarding.turn(1))
        assert isinstance(made.state.card, BoardCard)
        seen.append(made.state.card.tab)
    assert seen == [Tab.POOL, Tab.BREAKERS, Tab.JOBS, Tab.POOL]
    open_at_last = made.state.mode
    made.act(boarding.close)
    assert (open_at_last, made.state.mode) == (Mode.BOARD, Mode.NAV)


def test_the_cursor_stays_on_its_job_when_others_come_above_it() -> None:
    made = on_jobs(console(), 1)
    chosen = made.state.board.listed_jobs()[1].job.id
    made.step(partial(news.see_job, job=job(-5, "much older", JobStatus.READY)))
    made.act(boarding.cancel)
    assert made.wanted == [CancelJob(chosen)]
