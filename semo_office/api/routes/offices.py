"""Offices, what happens in them, what became of a command; and whether the server is well."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from semo_office.api.bodies import Health, Offices, Receipt
from semo_office.api.desk import AtDesk, CallerLink, Wait, service_of
from semo_office.api.problems import not_found
from semo_office.api.routes import READING, Responses
from semo_office.api.streams import EVENT_STREAM, LastEventId, change_stream, version_of
from semo_office.link import LinkState
from semo_office.offices import OfficeStore

router = APIRouter(tags=["offices"])
health = APIRouter(tags=["health"])

_STREAM: Final[dict[str, Any]] = {EVENT_STREAM: {"schema": {"type": "string"}}}
_EVENTS: Final[Responses] = {**READING, 200: {"description": "Events without end.", "content": _STREAM}}
_COMMAND: Final[Responses] = {
    **READING,
    200: {"description": "It has finished; `result` says how."},
    202: {"model": Receipt, "description": "It has not finished (yet)."},
}
_OPEN: Final[Responses] = {status: READING[status] for status in (403, 421, 422)}
_AWAY: Final[Responses] = {**_OPEN, 503: {"model": Health, "description": "The office can't be reached."}}


@router.get("/api/offices", responses=READING)
async def list_offices(link: CallerLink) -> Offices:
    """Every office that the caller may see, oldest first."""
    return Offices(offices=await OfficeStore(link).get_offices())


@router.get("/api/offices/{office_id}/commands/{command_id}", responses=_COMMAND)
async def get_command(desk: AtDesk, command_id: UUID, response: Response, wait: Wait = 0.0) -> Receipt:
    """What became of a command."""
    outcome = await desk.commands.get_outcome(command_id)
    if outcome.command.office_id != desk.office_id:
        raise not_found("command")
    return desk.receipt(await desk.settled(outcome, wait), response)


@router.get("/api/offices/{office_id}/events", responses=_EVENTS, response_class=Response)
async def follow_changes(request: Request, desk: AtDesk, last_event_id: LastEventId = None) -> Response:
    """Sessions, ends of commands and jobs, as they change. None is missed for good; some may be told twice.

    Their `id` is the version of the row. The first event is `open`: lists that are read after it miss nothing.
    """
    return await change_stream(request, desk, version_of(last_event_id) if last_event_id else None)


@health.get("/healthz", responses={**_OPEN, 503: READING[503]})
async def is_alive() -> Health:
    """The process lives."""
    return Health(status="ok")


@health.get("/readyz", responses=_AWAY, response_model=Health)
async def is_ready(request: Request) -> Response | Health:
    """The office can be reached; `status` says how well."""
    state = service_of(request).status().state
    if state is LinkState.OFFLINE:
        return JSONResponse({"status": state}, 503, {"Retry-After": "5"})
    return Health(status=state)
