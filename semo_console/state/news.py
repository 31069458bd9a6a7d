"""What the office, the clock and the outcome of commands do to the state."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from semo_console.state.console import NOTICE_FOR, Connection, ConsoleState, Step, only
from semo_console.state.receipts import Receipt
from semo_office.breaker import Breaker
from semo_office.errors import ErrorCode
from semo_office.models import CommandType, Job, JobAttempt, Office, SessionInfo
from semo_office.pool import PoolStatus


def see_offices(state: ConsoleState, offices: Iterable[Office]) -> Step:
    return only(state.with_roster(state.roster.see_offices(offices)))


def see_session(state: ConsoleState, session: SessionInfo) -> Step:
    seen = state.with_roster(state.roster.see(session, state.now))
    return only(begin(seen) if seen.loaded else seen)


def see_all_loaded(state: ConsoleState) -> Step:
    """Every session of every office has been told once."""
    return only(begin(replace(state, loaded=True)))


def begin(state: ConsoleState) -> ConsoleState:
    return state.with_roster(state.roster.begin(state.now))


def see_connection(state: ConsoleState, word: str, since: datetime) -> Step:
    return only(replace(state, connection=Connection(word, since)))


def see_job(state: ConsoleState, job: Job) -> Step:
    return only(replace(state, board=state.board.see_job(job)))


def see_attempt(state: ConsoleState, attempt: JobAttempt) -> Step:
    return only(replace(state, board=state.board.see_attempt(attempt)))


def see_pool(state: ConsoleState, status: PoolStatus) -> Step:
    return only(replace(state, board=state.board.see_pool(status)))


def see_breakers(state: ConsoleState, office_id: UUID, breakers: Iterable[Breaker]) -> Step:
    return only(replace(state, board=state.board.see_breakers(office_id, breakers, state.now)))


def see_hosts(state: ConsoleState, names: Mapping[UUID, str]) -> Step:
    return only(replace(state, board=state.board.see_hosts(names)))


def see_receipt(state: ConsoleState, receipt: Receipt) -> Step:
    """News of a command. A prompt that was taken back becomes a draft again."""
    noted = replace(state, receipts=state.receipts.note(receipt))
    if receipt.error is ErrorCode.CANCELLED and receipt.command_type is CommandType.SEND_PROMPT:
        return only(_give_back(noted, receipt) if _was_open(state, receipt) else noted)
    return only(noted)


def refuse(state: ConsoleState, command_id: UUID, sentence: str) -> Step:
    """A command did not reach the office; what was written is not lost."""
    sent = state.receipts.by_id.get(command_id)
    if sent is None:
        return only(state.say(sentence))
    refused = replace(sent, refused=True, message=sentence)
    noted = replace(state, receipts=state.receipts.note(refused)).say(sentence)
    return only(_give_back(noted, sent) if sent.command_type is CommandType.SEND_PROMPT else noted)


def tell(state: ConsoleState, sentence: str) -> Step:
    return only(state.say(sentence))


def tick(state: ConsoleState, now: datetime) -> Step:
    """Time goes on."""
    later = replace(state, now=now)
    if later.notice is not None and now - later.notice.at >= NOTICE_FOR:
        later = replace(later, notice=None)
    return only(later.with_roster(later.roster.tick(now)))


def _was_open(state: ConsoleState, receipt: Receipt) -> bool:
    known = state.receipts.by_id.get(receipt.command_id)
    return known is not None and not known.finished


def _give_back(state: ConsoleState, receipt: Receipt) -> ConsoleState:
    """The text is the session's draft again, unless another was begun meanwhile."""
    if state.composer.drafts.get(receipt.session_id):
        return state
    return replace(state, composer=state.composer.keep(receipt.session_id, receipt.text))
