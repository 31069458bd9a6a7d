"""The board in words."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from semo_console.state.board import Board, PlacedJob, SeenBreaker, Tab
from semo_console.state.conditions import Condition
from semo_console.state.console import ConsoleState
from semo_console.state.lines import Line, Look, Span, ago, apart, clean, fit, line
from semo_office.breaker import CircuitState
from semo_office.models import Job, JobAttempt, JobStatus
from semo_office.pool import PoolDecision, PoolStatus, RolePool

SHORT_ID: Final = 8
EVIDENCE_ROWS: Final = 8

_JOBS: Final[Mapping[JobStatus, tuple[str, str, Look]]] = {
    JobStatus.PENDING: ("o", "waits", Look.DIM),
    JobStatus.READY: ("-", "ready", Look.PLAIN),
    JobStatus.PROCESSING: ("*", "working", Look.WORKING),
    JobStatus.NEEDS_REVIEW: ("?", "needs review", Look.ASKS),
    JobStatus.DONE: ("+", "done", Look.DONE),
    JobStatus.FAILED: ("!", "failed", Look.FAILED),
    JobStatus.CANCELLED: (".", "cancelled", Look.DIM),
}
_INDENT: Final = 2
_DEEPEST: Final = 6


# On the dock: a line each


def dock(state: ConsoleState, width: int) -> list[Line]:
    """A line each for pool, breakers and jobs."""
    board = state.board
    made = [
        [(f" pool     {pool_in_short(state)}", Look.PLAIN)],
        [(" breakers ", Look.PLAIN), breakers_in_short(state)],
        [(f" jobs     {jobs_in_short(board)}", Look.PLAIN)],
    ]
    return [apart(spans, [], width) for spans in made]


def dock_in_one(state: ConsoleState, width: int) -> Line:
    """The same where there is one row for it."""
    paused, look = breakers_in_short(state)
    spans: list[Span] = [
        (f" {pool_in_short(state)} . ", Look.DIM),
        (paused, Look.DIM if look is Look.PLAIN else look),
        (f" . jobs {jobs_in_short(state.board)}", Look.DIM),
    ]
    return apart(spans, [], width)


def pool_in_short(state: ConsoleState) -> str:
    """Sessions by role: how many of all work, and spares beside those that are wanted."""
    roles: dict[str, list[bool]] = {}
    for entry in state.roster.entries.values():
        if not entry.ended:
            roles.setdefault(clean(entry.info.role), []).append(entry.condition is Condition.WORKING)
    spares = {
        role.role: f" {role.spares}/{role.wanted} spare"
        for pool in state.board.pools.values()
        for role in pool.roles
        if role.wanted
    }
    counted = [
        f"{role} {sum(working)}w/{len(working)}{spares.get(role, '')}" for role, working in sorted(roles.items())
    ]
    counted += [f"{clean(role)} 0w/0{text}" for role, text in sorted(spares.items()) if role not in roles]
    return "  ".join(counted) or "no sessions"


def breakers_in_short(state: ConsoleState) -> Span:
    board = state.board
    alone = len(board.hosts) < 2
    paused = [
        f"{clean(seen.breaker.profile) if alone else _place(board, seen)} {pause_in_words(seen, state.now)}"
        for seen in board.paused()
    ]
    return (", ".join(paused), Look.FAILED) if paused else ("none paused", Look.PLAIN)


def jobs_in_short(board: Board) -> str:
    counts = board.job_counts
    return "  ".join(f"{counts[status]} {_JOBS[status][1]}" for status in JobStatus if counts[status]) or "none"


def pause_in_words(seen: SeenBreaker, now: datetime) -> str:
    """`paused, next try 0:41`."""
    breaker = seen.breaker
    if breaker.state is CircuitState.CLOSED:
        return f"runs, {breaker.failures} of {breaker.failure_threshold} failures"
    if breaker.state is CircuitState.HALF_OPEN:
        return "trying again"
    if (left := seen.retry_in(now)) is None:
        return "paused by hand"
    seconds = math.ceil(left.total_seconds())
    return f"paused, next try {seconds // 60}:{seconds % 60:02}"


# The pages


def page(state: ConsoleState, tab: Tab, chosen: int, width: int) -> list[Line]:
    """The rows of one page of the board. chosen: the row with the cursor."""
    match tab:
        case Tab.POOL:
            return _pool_page(state)
        case Tab.BREAKERS:
            return _breakers_page(state, chosen)
        case Tab.JOBS:
            return _jobs_page(state, chosen, width)


def _pool_page(state: ConsoleState) -> list[Line]:
    rows: list[Line] = []
    for office in state.roster.offices:
        if (pool := state.board.pools.get(office.id)) is not None:
            rows += _pool_rows(state, clean(office.name), pool)
    return rows or [line((" not read yet", Look.DIM))]


def _pool_rows(state: ConsoleState, office: str, pool: PoolStatus) -> list[Line]:
    rows = [line((f" {office}", Look.STRONG), f"  cold sessions {pool.used} of {pool.cap}")]
    rows += [line((f"   {fit('role', 12)} spares  in use  kept  starting  profile", Look.DIM))]
    rows += [_role_row(role) for role in pool.roles] or [line(("   no role has spares or sessions yet", Look.DIM))]
    for decision in [*(role.last for role in pool.roles), pool.last]:
        if decision is not None and (row := _decision_row(state, decision)) not in rows:
            rows.append(row)
    return rows


def _role_row(role: RolePool) -> Line:
    spares = f"{role.spares}/{role.wanted}"
    look = Look.ASKS if role.spares < role.wanted else Look.PLAIN
    lost = f"  {role.lost} on hosts that are gone" if role.lost else ""
    counts = f"  {role.in_use:>6}  {role.kept:>4}  {role.starting:>8}  {clean(role.profile)}{lost}"
    return line((f"   {fit(role.role, 12)} ", Look.STRONG), (fit(spares, 6), look), counts)


def _decision_row(state: ConsoleState, decision: PoolDecision) -> Line:
    return line((f"   {ago(state.now - decision.at)} ago  {clean(decision.role)}: {clean(decision.reason)}", Look.DIM))


def _breakers_page(state: ConsoleState, chosen: int) -> list[Line]:
    listed = state.board.listed_breakers()
    if not listed:
        return [line((" No program has failed to start: nothing is paused.", Look.DIM))]
    rows = [_breaker_row(state, seen, index == chosen) for index, seen in enumerate(listed)]
    reason = listed[min(chosen, len(listed) - 1)].breaker.reason
    return [*rows, line(""), line((f" {clean(reason)}" if reason else " no failure is known", Look.DIM))]


def _breaker_row(state: ConsoleState, seen: SeenBreaker, chosen: bool) -> Line:
    glyph, look = ("!", Look.FAILED) if seen.paused else ("-", Look.PLAIN)
    spans: list[Span] = [(f" {glyph} ", look), (fit(_place(state.board, seen), 30) + " ", Look.STRONG)]
    return line(*spans, (pause_in_words(seen, state.now), look), chosen=chosen)


def _place(board: Board, seen: SeenBreaker) -> str:
    host_id = seen.breaker.host_id
    return clean(f"{seen.breaker.profile} on {board.hosts.get(host_id) or str(host_id)[:SHORT_ID]}")


def _jobs_page(state: ConsoleState, chosen: int, width: int) -> list[Line]:
    listed = state.board.listed_jobs()
    if not listed:
        return [line((" No jobs; `semo job add` adds one.", Look.DIM))]
    rows = [_job_row(state, placed, index == chosen, width) for index, placed in enumerate(listed)]
    return [*rows, line(""), *_job_details(state, listed[min(chosen, len(listed) - 1)].job)]


def _job_row(state: ConsoleState, placed: PlacedJob, chosen: bool, width: int) -> Line:
    job = placed.job
    glyph, word, look = _JOBS[job.status]
    indent = " " * (_INDENT * min(placed.depth, _DEEPEST))
    reason = f": {clean(job.reason)}" if job.reason else ""
    spans: list[Span] = [
        (f" {glyph} ", look),
        (f"{fit(str(job.id), SHORT_ID)} ", Look.DIM),
        (f"{fit(job.role, 8)} ", Look.STRONG),
        (f"{indent}{clean(job.title)}  ", Look.PLAIN),
        (word + reason, look),
    ]
    age = ago(state.now - (job.completed_at or job.started_at or job.created_at))
    made = apart(spans, [(f" {age} ", Look.DIM)], width)
    return Line(made.spans, chosen=chosen)


def _job_details(state: ConsoleState, job: Job) -> list[Line]:
    rows = [line((f" {clean(job.title)}", Look.STRONG))]
    for each in job.depends_on:
        other = state.board.jobs.get(each)
        what = f"{clean(other.title)} ({_JOBS[other.status][1]})" if other else "a job that is not known here"
        rows.append(line(("   after    ", Look.DIM), f"{str(each)[:SHORT_ID]} {what}"))
    attempt = state.board.attempts.get(job.id)
    return rows + (_attempt_rows(state, attempt) if attempt else [line(("   not begun", Look.DIM))])


def _attempt_rows(state: ConsoleState, attempt: JobAttempt) -> list[Line]:
    evidence = attempt.evidence
    facts = [("attempt", f"{attempt.attempt}, {attempt.status.value.replace('_', ' ')}")]
    if attempt.session_id is not None:
        facts.append(("session", _session_in_words(state, attempt.session_id)))
    if attempt.reason:
        facts.append(("why", attempt.reason))
    if isinstance(status := evidence.get("exit_status"), int):
        facts.append(("exit", str(status)))
    if isinstance(duration := evidence.get("duration_ms"), int | float):
        facts.append(("took", ago(timedelta(milliseconds=duration))))
    rows = [line((f"   {name:<8} ", Look.DIM), clean(value)) for name, value in facts]
    said = evidence.get("last_message") or evidence.get("output")
    if isinstance(said, str) and said.strip():
        rows += [line((f"   | {clean(row)}", Look.DIM)) for row in said.rstrip().splitlines()[-EVIDENCE_ROWS:]]
    return rows


def _session_in_words(state: ConsoleState, session_id: UUID) -> str:
    entry = state.roster.entries.get(session_id)
    return f"{entry.tag} {str(session_id)[:SHORT_ID]}" if entry else f"{str(session_id)[:SHORT_ID]} (ended)"
