from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr

from semo_office.api.callers import IDLE_S, Callers
from semo_office.api.problems import Refused
from semo_office.errors import LinkError, NotAuthenticated
from semo_office.link import CredentialsSource, Link
from semo_office.stopping import Stop, Tasks
from tests.unit.semo_office.fakes import make_credentials

ALICE, BOB, CAROL = (SecretStr(name) for name in ("alice", "bob", "carol"))


@dataclass
class Desk:
    """Callers whose links go to a hub that says whose token came, and refuses `bad`."""

    now: float = 0.0
    opened: int = 0
    tokens: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.tokens.append(token)
        return httpx.Response(401, json={"message": "no"}) if token == "bad" else httpx.Response(200, json=[])

    async def open(self, source: CredentialsSource) -> Link:
        self.opened += 1
        return await Link.open(source, transport=httpx.MockTransport(self.answer))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def callers(desk: Desk) -> AsyncIterator[Callers]:
    stop = Stop()
    tasks = Tasks(stop)
    callers = Callers(make_credentials, tasks, lambda: desk.now, open_link=desk.open, most=2)
    unused = Stop()
    tasks.start("callers", callers.keep_few(unused))
    yield callers
    unused.set()
    await tasks.settle(5.0)
    assert tasks.failure is None
    assert len(callers) == 0


async def test_everybody_asks_under_the_own_token(desk: Desk, callers: Callers) -> None:
    for token in (ALICE, BOB, ALICE):
        async with callers.link_of(token) as link:
            await link.select("offices")
    assert desk.tokens == ["alice", "bob", "alice"]
    assert desk.opened == 2


async def test_requests_of_one_caller_share_a_link(callers: Callers) -> None:
    async with callers.link_of(ALICE) as first, callers.link_of(ALICE) as second:
        assert first is second


async def test_who_has_been_away_for_long_is_forgotten(desk: Desk, callers: Callers) -> None:
    async with callers.link_of(ALICE) as alice:
        desk.now = IDLE_S + 1
        await callers.sweep()
        await alice.select("offices")
    await callers.sweep()
    assert len(callers) == 1
    desk.now += IDLE_S
    await callers.sweep()
    assert len(callers) == 0
    with pytest.raises(LinkError, match="closed"):
        await alice.select("offices")


async def test_a_token_that_the_office_refuses_is_not_kept(desk: Desk, callers: Callers) -> None:
    with pytest.raises(NotAuthenticated):
        async with callers.link_of(SecretStr("bad")) as link:
            await link.select("offices")
    assert len(callers) == 0


async def test_a_new_caller_takes_the_place_of_who_was_idle_longest(desk: Desk, callers: Callers) -> None:
    for desk.now, token in ((1.0, ALICE), (2.0, BOB), (3.0, CAROL)):
        async with callers.link_of(token):
            pass
    assert len(callers) == 2
    async with callers.link_of(BOB):
        assert desk.opened == 3


async def test_more_callers_at_once_than_there_is_room_for_are_told_to_come_back(callers: Callers) -> None:
    async with callers.link_of(ALICE), callers.link_of(BOB):
        with pytest.raises(Refused) as refused:
            async with callers.link_of(CAROL):
                pass
        assert refused.value.status_code == 503
    async with callers.link_of(CAROL):
        pass
