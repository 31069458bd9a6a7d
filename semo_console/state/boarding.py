"""What an operator does on the board."""

from collections.abc import Callable
from dataclasses import replace

from semo_console.state.actions import Action, Circumstances
from semo_console.state.board import Tab
from semo_console.state.cards import BoardCard
from semo_console.state.console import ConsoleState, Region, Step, only
from semo_console.state.effects import CancelJob, JudgeJob, ResetBreaker, RetryJob
from semo_office.models import Job, JobStatus

_TABS = list(Tab)


def open_page(tab: Tab) -> Action:
    def act(state: ConsoleState, _: Circumstances) -> Step:
        return only(state.show(BoardCard(tab)))

    return act


def turn(step: int) -> Action:
    """The next page, or the one before; from outside the first, or the last."""

    def act(state: ConsoleState, _: Circumstances) -> Step:
        if not isinstance(state.card, BoardCard):
            return only(state.show(BoardCard(_TABS[0] if step > 0 else _TABS[-1])))
        at = _TABS.index(state.card.tab) + step
        return only(state.show(BoardCard(_TABS[at % len(_TABS)])))

    return act


def choose(by: int) -> Action:
    def act(state: ConsoleState, _: Circumstances) -> Step:
        if not isinstance(state.card, BoardCard):
            return only(state)
        keys = state.board.keys(state.card.tab)
        row = state.board.row_of(state.card.tab, state.card.chosen) + by
        chosen = keys[min(max(row, 0), len(keys) - 1)] if keys else None
        return only(replace(state, card=replace(state.card, chosen=chosen)))

    return act


def close(state: ConsoleState, _: Circumstances) -> Step:
    return only(state.close_card())


def go_to_session(state: ConsoleState, _: Circumstances) -> Step:
    def go(job: Job) -> Step:
        attempt = state.board.attempts.get(job.id)
        entry = state.roster.entries.get(attempt.session_id) if attempt and attempt.session_id else None
        if entry is None:
            return only(state.say("Its session is not there (any more)."))
        there = state.close_card().with_roster(state.roster.select(entry.session_id, state.now))
        return only(replace(there, region=Region.TREE, panes=there.panes.focus(None)))

    return _with_job(state, go)


def retry(state: ConsoleState, _: Circumstances) -> Step:
    def act(job: Job) -> Step:
        if job.status not in (JobStatus.FAILED, JobStatus.NEEDS_REVIEW, JobStatus.CANCELLED):
            return only(state.say("Only a job that failed, was cancelled or needs review is tried again."))
        return state.say(f"{job.title}: trying again."), (RetryJob(job.id),)

    return _with_job(state, act)


def cancel(state: ConsoleState, _: Circumstances) -> Step:
    def act(job: Job) -> Step:
        if job.status in (JobStatus.DONE, JobStatus.CANCELLED):
            return only(state.say("The job is over."))
        return state.say(f"{job.title}: cancelling."), (CancelJob(job.id),)

    return _with_job(state, act)


def judge(*, done: bool) -> Action:
    """A person's word on a job that needs review."""

    def act(state: ConsoleState, _: Circumstances) -> Step:
        def on(job: Job) -> Step:
            if job.status is not JobStatus.NEEDS_REVIEW:
                return only(state.say("Only a job that needs review is judged."))
            return state.say(f"{job.title}: {'done' if done else 'failed'}."), (JudgeJob(job.id, done),)

        return _with_job(state, on)

    return act


def reset(state: ConsoleState, _: Circumstances) -> Step:
    """The chosen breaker; from anywhere else the only one that is paused."""
    listed, paused = state.board.listed_breakers(), state.board.paused()
    if isinstance(state.card, BoardCard) and state.card.tab is Tab.BREAKERS and listed:
        seen = listed[state.board.row_of(Tab.BREAKERS, state.card.chosen)]
    elif len(paused) == 1:
        seen = paused[0]
    else:
        return only(state.say("Choose one on the page of breakers." if paused else "Nothing is paused."))
    breaker = seen.breaker
    if not seen.paused and not breaker.failures:
        return only(state.say("It is not paused."))
    order = ResetBreaker(seen.office_id, breaker.host_id, breaker.profile)
    return state.say(f"{breaker.profile}: starts again."), (order,)


def _with_job(state: ConsoleState, act: Callable[[Job], Step]) -> Step:
    """On the page of jobs, with the chosen one."""
    if not isinstance(state.card, BoardCard) or state.card.tab is not Tab.JOBS:
        return only(state)
    listed = state.board.listed_jobs()
    if not listed:
        return only(state.say("There is no job."))
    return act(listed[state.board.row_of(Tab.JOBS, state.card.chosen)].job)
