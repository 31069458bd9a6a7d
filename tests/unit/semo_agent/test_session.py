"""What a session tells, and whom it wakes."""

import asyncio
from uuid import uuid4

import pytest

from semo_agent.errors import Stopping
from semo_agent.office import Claim
from semo_agent.profiles.profile import EvidenceRules, Launch, Profile
from semo_agent.session import Session, Turn
from semo_agent.stopping import Stop
from semo_agent.terminals.base import Exited, ExitStatus, MarkSeen, Position, TitleChanged
from semo_office.models import SessionReport, SessionStatus

PROFILE = Profile(name="cat", launch=Launch(argv=["cat"]), evidence=EvidenceRules(source="osc133"))


class Clock:
    """s, moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(clock: Clock) -> Session:
    return Session(uuid4(), PROFILE, clock=clock, stop=Stop())


def see(session: Session, *kinds: str) -> None:
    for kind in kinds:
        session.observe(MarkSeen("tab", kind, "", Position(0, 0)))


def tell(session: Session, *, closing_turn: bool = False) -> SessionReport | None:
    """The news, which the office then knows."""
    news = session.news(closing_turn=closing_turn)
    if news is not None:
        session.reported(news)
    return news


def test_a_state_is_told_once(session: Session) -> None:
    see(session, "B")
    news = tell(session)
    assert news is not None
    assert (news.status, news.status_source) == (SessionStatus.READY, "osc133")
    assert tell(session) is None


def test_the_end_of_a_turn_of_ours_waits_for_its_result(session: Session) -> None:
    see(session, "B")
    tell(session)
    session.change_turn(Turn(Claim(uuid4(), uuid4()), number=1, text_bytes=1, bracketed=True))
    session.reported_executing()
    see(session, "C", "D", "B")
    assert session.news() is None
    news = session.news(closing_turn=True)
    assert news is not None
    assert news.status is SessionStatus.READY


def test_a_question_during_a_turn_of_ours_is_told_at_once(session: Session) -> None:
    session.change_turn(Turn(Claim(uuid4(), uuid4()), number=1, text_bytes=1, bracketed=True))
    see(session, "B")
    session.observe(MarkSeen("tab", "A", "k=s", Position(0, 1)))
    news = session.news()
    assert news is not None
    assert news.status is SessionStatus.WAITING_INPUT


def test_a_title_is_told_at_most_once_a_second(session: Session, clock: Clock) -> None:
    session.observe(TitleChanged("tab", "one"))
    tell(session)
    session.observe(TitleChanged("tab", "two"))
    assert tell(session) is None
    assert session.news_later() == pytest.approx(1.0)
    clock.now += 1
    assert tell(session) == SessionReport(title="two")


def test_an_end_of_our_own_keeps_its_reason(session: Session) -> None:
    session.ending = "ended by an operator"
    session.observe(Exited("tab", ExitStatus(signal=1)))
    news = session.news()
    assert news is not None
    assert (news.status, news.reason, news.exit_signal) == (SessionStatus.TERMINATED, "ended by an operator", 1)


async def test_a_waiter_sees_what_came_and_went(session: Session) -> None:
    waiting = asyncio.create_task(session.until(lambda: session.sighting.ended == 1, 1), name="waiter")
    await asyncio.sleep(0)
    see(session, "B", "C", "D", "B")
    await waiting


async def test_the_stop_ends_every_wait(clock: Clock) -> None:
    stop = Stop()
    session = Session(uuid4(), PROFILE, clock=clock, stop=stop)
    stop.then(session.wake)
    waiting = asyncio.create_task(session.until(lambda: False), name="waiter")
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(Stopping):
        await waiting


async def test_a_wait_has_its_deadline(session: Session) -> None:
    with pytest.raises(TimeoutError):
        await session.until(lambda: False, 0.001)
