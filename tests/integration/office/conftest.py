"""A real hub with SEMO's own SQL, and an office on it with an operator and a host, each under its own token."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from semo_office.commands import CommandRepository, NewCommand
from semo_office.config import Credentials
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link, Timing
from semo_office.models import (
    AgentCommand,
    CommandType,
    CreateSession,
    SendPrompt,
    SessionReport,
    SessionStatus,
    Stage,
)
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore
from tests.integration.hub_fixture import RunningHub, end_hub, start_hub

if TYPE_CHECKING:
    from tests.integration.office.asking import Api

READY = SessionReport(status=SessionStatus.READY, status_source="test")


@pytest.fixture(scope="session")
def office_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    hub = start_hub(tmp_path_factory.mktemp("office") / "state")
    yield hub
    end_hub(hub)


class Identity:
    """Somebody whom the hub knows; a source of credentials with a fresh token at each call."""

    def __init__(self, hub: RunningHub, *, ttl_s: float = 3600.0, url: str | None = None) -> None:
        self.user_id = uuid4()
        self.url = url or hub.url
        self.ttl_s = ttl_s
        self.reads = 0
        self._hub = hub

    def through(self, url: str) -> "Identity":
        """The same somebody, by another way."""
        other = Identity(self._hub, url=url)
        other.user_id = self.user_id
        return other

    def __call__(self) -> Credentials:
        self.reads += 1
        return Credentials(
            url=self.url,
            publishable_key=self._hub.keys.publishable_key,
            user_id=str(self.user_id),
            access_token=SecretStr(self._hub.token_for(str(self.user_id), ttl=self.ttl_s)),
            expires_at=datetime.now(UTC) + timedelta(seconds=self.ttl_s),
        )


@dataclass
class Side:
    """One party's way to the office."""

    identity: Identity
    link: Link

    @property
    def commands(self) -> CommandRepository:
        return CommandRepository(self.link)

    @property
    def sessions(self) -> SessionStore:
        return SessionStore(self.link)

    @property
    def offices(self) -> OfficeStore:
        return OfficeStore(self.link)


@asynccontextmanager
async def signed_in(
    identity: Identity, *, timing: Timing | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Side]:
    async with await Link.open(identity, timing=timing, transport=transport) as link:
        yield Side(identity, link)


@dataclass
class Party:
    """An office with an operator and one host whose agent is this test."""

    hub: RunningHub
    operator: Side
    host: Side
    office_id: UUID
    host_id: UUID
    instance: UUID

    @property
    def dispatcher(self) -> CommandDispatcher:
        return CommandDispatcher(self.operator.commands, self.office_id)

    def prompt(self, session_id: UUID, text: str, *, start_by_ms: int | None = None) -> NewCommand:
        return NewCommand.carrying(
            SendPrompt(prompt=text), office_id=self.office_id, session_id=session_id, start_by_ms=start_by_ms
        )

    async def new_session(self) -> UUID:
        """A session that is ready for a prompt."""
        outcome = await self.dispatcher.dispatch_create_session(CreateSession(profile="shell"))
        await self.host.commands.renew_leases(self.instance)
        for claimed in await self.host.commands.claim_commands(self.instance):
            assert claimed.command.command_type is CommandType.CREATE_SESSION
            await self.complete(claimed.command)
        return outcome.command.session_id

    async def claim_one(self) -> AgentCommand:
        await self.host.commands.renew_leases(self.instance)
        claimed = await self.host.commands.claim_commands(self.instance)
        assert len(claimed) == 1
        return claimed[0].command

    async def claim_when_there(self) -> AgentCommand:
        """What an idle agent does: wait for a hint, and claim."""
        async with self.host.link.expect(self.office_id, ("agent_commands", None)) as change:
            while not (claimed := await self.host.commands.claim_commands(self.instance)):
                await change.next(5.0)
        assert len(claimed) == 1
        return claimed[0].command

    async def accept(self, command: AgentCommand) -> None:
        for stage in (Stage.TYPED, Stage.ACCEPTED):
            await self.host.commands.report_stage(command.id, token_of(command), stage)

    async def complete(self, command: AgentCommand, output: str = "") -> None:
        await self.host.commands.complete_command(
            command.id, token_of(command), result={"output": output}, session=READY
        )


def token_of(command: AgentCommand) -> UUID:
    assert command.claim_token is not None
    return command.claim_token


@asynccontextmanager
async def party_on(
    hub: RunningHub, *, operator: Identity | None = None, timing: Timing | None = None
) -> AsyncIterator[Party]:
    async with AsyncExitStack() as stack:
        chief = await stack.enter_async_context(signed_in(operator or Identity(hub), timing=timing))
        host = await stack.enter_async_context(signed_in(Identity(hub)))
        office = await chief.offices.create_office("office", f"/repo/{uuid4()}")
        machine = await host.offices.register_host(uuid4(), "machine", chief.identity.user_id)
        await chief.offices.attach_host(office.id, machine.id, "/repo")
        instance = uuid4()
        await host.commands.renew_leases(instance, take=True)
        yield Party(hub, chief, host, office.id, machine.id, instance)


@pytest.fixture
async def party(office_hub: RunningHub) -> AsyncIterator[Party]:
    async with party_on(office_hub) as party:
        yield party


@pytest.fixture
async def api(party: Party) -> "AsyncIterator[Api]":
    """The Sessions API before the party's hub."""
    # It knows the party; and most tests here need no web server.
    from tests.integration.office.asking import api_before

    async with api_before(party) as api:
        yield api


@pytest.fixture
async def client(api: "Api") -> AsyncIterator[httpx.AsyncClient]:
    """The operator before that API."""
    async with api.client() as client:
        yield client
