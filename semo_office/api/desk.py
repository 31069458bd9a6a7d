"""One caller in one office, for as long as one request takes."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import Depends, Header, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.responses import JSONResponse

from semo_office.api.bodies import Receipt
from semo_office.api.callers import Callers
from semo_office.api.gate import TOKEN
from semo_office.api.problems import Refused, not_found
from semo_office.commands import CommandRepository, Outcome, OutcomeKind
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import ErrorCode
from semo_office.jobs import JobService
from semo_office.link import Link, LinkStatus
from semo_office.models import SessionInfo
from semo_office.offices import OfficeStore
from semo_office.sessions import SessionStore
from semo_office.stopping import Stop, first_of

WAIT_MAX_S: Final = 60.0
KEEP_S: Final = 15.0

# For the OpenAPI document; the gate has looked at the token already.
BEARER: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of the office: `semo token`.")

Wait = Annotated[
    float,
    Query(ge=0, le=WAIT_MAX_S, allow_inf_nan=False, description="How long to wait for the end of the command, s."),
]
IdempotencyKey = Annotated[
    UUID | None,
    Header(alias="Idempotency-Key", description="Id of the command, if the body names none: never done twice."),
]


@dataclass
class Service:
    """The API of one process, as the routes see it. `streams`: how many go on now.

    keep_s: silence after which a stream says that it is there, and looks whether its caller may still see the office.
    """

    callers: Callers
    status: Callable[[], LinkStatus]
    """How well the server itself reaches the office."""
    stop: Stop
    keep_s: float = KEEP_S
    streams: int = 0


@dataclass(frozen=True)
class Desk:
    """What a caller can ask of an office that it may see."""

    link: Link
    office_id: UUID
    service: Service

    @property
    def commands(self) -> CommandRepository:
        return CommandRepository(self.link)

    @property
    def dispatcher(self) -> CommandDispatcher:
        return CommandDispatcher(self.commands, self.office_id)

    @property
    def jobs(self) -> JobService:
        return JobService(self.link)

    @property
    def sessions(self) -> SessionStore:
        return SessionStore(self.link)

    async def session(self, session_id: UUID) -> SessionInfo:
        """Raises Refused: it is not in this office, as far as the caller may see."""
        session = await self.sessions.get_session(session_id)
        if session is None or session.office_id != self.office_id:
            raise not_found("session")
        return session

    async def check(self) -> None:
        """Raises Refused (404) when the caller may not see the office (any more), NotAuthenticated, LinkError."""
        if await OfficeStore(self.link).get_office(self.office_id) is None:
            raise not_found("office")

    async def settled(self, outcome: Outcome, wait: float) -> Outcome:
        """The outcome once the command has finished, its session asks, `wait` s are over, or the server stops."""
        if not wait:
            return outcome
        sent = outcome.model_copy(update={"kind": OutcomeKind.STILL_WAITING})
        return await first_of(self.dispatcher.wait_for_outcome(outcome.command.id, wait), self._stopped(sent))

    async def _stopped(self, known: Outcome) -> Outcome:
        await self.service.stop.wait()
        return known

    def receipt(self, outcome: Outcome, response: Response) -> Receipt:
        """200 when the command has finished; 202 and where to look for it when it has not."""
        if outcome.kind is not OutcomeKind.FINISHED:
            response.status_code = 202
            response.headers["Location"] = self._location(outcome)
        return Receipt.of(outcome)

    def sent(self, outcome: Outcome) -> JSONResponse:
        """202 as a response of its own, where 200 has another body."""
        body = Receipt.of(outcome).model_dump(mode="json")
        return JSONResponse(body, 202, {"Location": self._location(outcome)})

    def _location(self, outcome: Outcome) -> str:
        return f"/api/offices/{self.office_id}/commands/{outcome.command.id}"

    async def answered(self, dispatching: Coroutine[Any, Any, Outcome], wait: float, response: Response) -> Receipt:
        """Send a command, and say what came of it."""
        return self.receipt(await self.settled(await dispatching, wait), response)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def caller_link(request: Request, _: Annotated[object, Security(BEARER)]) -> AsyncIterator[Link]:
    """The link under the caller's own token."""
    service = service_of(request)
    async with service.callers.link_of(SecretStr(request.scope[TOKEN])) as link:
        yield link


CallerLink = Annotated[Link, Depends(caller_link)]


async def desk_in(request: Request, office_id: UUID, link: CallerLink) -> Desk:
    """Raises Refused (404) for an office that the caller may not see."""
    desk = Desk(link, office_id, service_of(request))
    await desk.check()
    return desk


AtDesk = Annotated[Desk, Depends(desk_in)]


def command_id(key: UUID | None, body_id: UUID | None = None) -> UUID:
    """The id that the caller gave, else a new one. Raises Refused for two that differ."""
    if key is not None and body_id is not None and key != body_id:
        raise Refused(422, ErrorCode.INVALID_PAYLOAD, "Idempotency-Key and the body's id differ; give one of them.")
    return body_id or key or uuid4()
