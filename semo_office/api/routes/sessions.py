"""`/api/offices/{office_id}/sessions`: start, see, prompt, answer, stop, read and end sessions."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from semo_office.api.bodies import NewSession, OutputPage, Prompt, Receipt, Sessions, TextAnswer
from semo_office.api.desk import AtDesk, IdempotencyKey, Wait, command_id
from semo_office.api.routes import READING, WRITING, Responses
from semo_office.api.streams import EVENT_STREAM, LastEventId, output_after, output_stream, wants_stream
from semo_office.commands import Outcome
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import GetOutput, SendText, SessionInfo, SessionStatus, Terminate

ANSWER_S: Final = 10.0
_NUMBER_MAX: Final = 2**53

router = APIRouter(prefix="/api/offices/{office_id}/sessions", tags=["sessions"])

_LOCATION: Final = {
    "Location": {"schema": {"type": "string"}, "description": "The command: GET says what became of it."}
}
_SENT: Final[Responses] = {
    **WRITING,
    200: {"description": "Within `wait` the command has finished; `result` says how."},
    202: {"model": Receipt, "description": "It has not finished (yet).", "headers": _LOCATION},
}
_STREAM: Final[dict[str, Any]] = {EVENT_STREAM: {"schema": {"type": "string"}}}
_OUTPUT: Final[Responses] = {
    **READING,
    409: WRITING[409],
    200: {"description": "The rows; as events (`Accept: text/event-stream`) those that come too.", "content": _STREAM},
    202: {"model": Receipt, "description": "The agent has not answered (yet).", "headers": _LOCATION},
}


@router.post("", responses=_SENT)
async def create_session(
    desk: AtDesk, body: NewSession, response: Response, wait: Wait = 0.0, key: IdempotencyKey = None
) -> Receipt:
    """Start a CLI in a new terminal. Finished when it is ready for a prompt; its id is `command.session_id`."""
    chosen = command_id(key, body.id)
    dispatching = desk.dispatcher.dispatch_create_session(
        body.to_request(), session_id=body.session_id_for(chosen), command_id=chosen
    )
    return await desk.answered(dispatching, wait, response)


@router.get("", responses=READING)
async def list_sessions(
    desk: AtDesk, ended: Annotated[bool, Query(description="Also those that have ended.")] = False
) -> Sessions:
    """The sessions of the office, oldest first."""
    return Sessions(sessions=await desk.sessions.get_sessions_by_office(desk.office_id, with_ended=ended))


@router.get("/{session_id}", responses=READING)
async def get_session(desk: AtDesk, session_id: UUID) -> SessionInfo:
    """One session and its true state."""
    return await desk.session(session_id)


@router.delete("/{session_id}", responses=_SENT)
async def end_session(
    desk: AtDesk,
    session_id: UUID,
    response: Response,
    grace_ms: Annotated[int, Query(ge=0, le=60_000, description="How long the program may take to end.")] = 3_000,
    wait: Wait = 0.0,
    key: IdempotencyKey = None,
) -> Receipt:
    """End the program and close its tab. Finished when both are gone."""
    dispatching = desk.dispatcher.dispatch_terminate(
        session_id, Terminate(grace_ms=grace_ms), command_id=command_id(key)
    )
    return await desk.answered(dispatching, wait, response)


@router.post("/{session_id}/prompt", responses=_SENT)
async def send_prompt(
    desk: AtDesk, session_id: UUID, body: Prompt, response: Response, wait: Wait = 0.0, key: IdempotencyKey = None
) -> Receipt:
    """Begin a turn once the session is ready. Finished when the turn has ended; a question ends the wait too."""
    dispatching = desk.dispatcher.dispatch_send_prompt(
        session_id,
        body.prompt,
        start_by_ms=body.start_by_ms,
        turn_limit_ms=body.turn_limit_ms,
        command_id=command_id(key, body.id),
    )
    return await desk.answered(dispatching, wait, response)


@router.post("/{session_id}/answer", responses=_SENT)
async def answer(
    desk: AtDesk, session_id: UUID, body: TextAnswer, response: Response, wait: Wait = 0.0, key: IdempotencyKey = None
) -> Receipt:
    """Answer what the session asks. Finished when it is typed."""
    request = SendText(text=body.text, answer=True, enter=body.enter)
    dispatching = desk.dispatcher.dispatch_send_text(session_id, request, command_id=command_id(key, body.id))
    return await desk.answered(dispatching, wait, response)


@router.post("/{session_id}/cancel", responses=_SENT)
async def cancel_turn(
    desk: AtDesk, session_id: UUID, response: Response, wait: Wait = 0.0, key: IdempotencyKey = None
) -> Receipt:
    """Stop the turn that runs. Finished when the session is back at its prompt."""
    dispatching = desk.dispatcher.dispatch_cancel(session_id, command_id=command_id(key))
    return await desk.answered(dispatching, wait, response)


@router.get("/{session_id}/output", responses=_OUTPUT, response_model=OutputPage)
async def read_output(
    desk: AtDesk,
    session_id: UUID,
    request: Request,
    lines: Annotated[int, Query(ge=1, le=10_000, description="At most so many rows.")] = 100,
    epoch: Annotated[int | None, Query(ge=0, le=_NUMBER_MAX, description="The epoch of `since_line`.")] = None,
    since_line: Annotated[int | None, Query(ge=0, le=_NUMBER_MAX, description="From this row on.")] = None,
    styled: Annotated[bool, Query(description="With colour, as SGR.")] = False,
    wait: Wait = ANSWER_S,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: LastEventId = None,
) -> Response | OutputPage:
    """The last rows, or those from a row on. As events: also those that come, until the session ends."""
    session = await desk.session(session_id)
    if session.status is SessionStatus.TERMINATED:
        raise CommandError(ErrorCode.SESSION_EXITED, "The session has ended.")
    wanted = GetOutput(lines=lines, epoch=epoch, since_line=since_line, styled=styled)
    if wants_stream(accept):
        return await output_stream(request, desk, session, output_after(last_event_id) if last_event_id else wanted)
    outcome = await desk.settled(await desk.dispatcher.dispatch_get_output(session_id, wanted), wait)
    return _page(outcome) or desk.sent(outcome)


def _page(outcome: Outcome) -> OutputPage | None:
    """None: not there yet. Raises CommandError: what could not be read is never an empty page."""
    if outcome.result is None:
        return None
    if outcome.result.error is not None:
        raise CommandError(outcome.result.error, outcome.result.message)
    return OutputPage.model_validate(outcome.result.result)
