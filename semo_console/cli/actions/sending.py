"""`semo send`: a prompt or an answer to a session, and the wait for what comes of it."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import exit_code_of, print_outcome
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import remark
from semo_console.cli.exits import ExitCode
from semo_console.errors import UnreadableInput
from semo_office.commands import Outcome
from semo_office.dispatcher import DONT_WAIT
from semo_office.locations import StateFolder
from semo_office.models import PROMPT_BYTES_MAX, SendText

FROM_STDIN = "-"


@dataclass(frozen=True)
class Send:
    """What to send, to whom. wait: s, None not at all, inf for ever. turn_limit: s, None: no limit."""

    text: str
    role: str | None = None
    session: str | None = None
    office: str | None = None
    wait: float | None = None
    turn_limit: float | None = None
    answer: bool = False
    command_id: UUID | None = None

    @property
    def timeout(self) -> float | None:
        """The wait in the dispatcher's terms."""
        if self.wait is None:
            return DONT_WAIT
        return None if math.isinf(self.wait) else self.wait


def send_text(state_dir: Path | None, request: Send, *, as_json: bool) -> ExitCode:
    """Send, wait as asked, print what came of it. Raises UnreadableInput, UnclearTarget, OfficeError."""
    complete = replace(
        request, text=read_text(request.text, sys.stdin.buffer), command_id=request.command_id or uuid4()
    )
    try:
        outcome = at_desk(StateFolder.find(state_dir), lambda desk: _send(desk, complete))
    except KeyboardInterrupt:
        remark(f"No longer waiting; the prompt goes on ({complete.command_id}). `semo sessions` shows where.")
        raise
    print_outcome(outcome, as_json=as_json)
    return exit_code_of(outcome, failed=ExitCode.PROMPT_FAILED)


def read_text(text: str, stdin: BinaryIO) -> str:
    """The text itself, or for `-` all of standard input but its last line end. Raises UnreadableInput."""
    if text != FROM_STDIN:
        return text
    # Two more than allowed: room for the line end that is taken off.
    content = stdin.read(PROMPT_BYTES_MAX + 2 + 1).removesuffix(b"\n").removesuffix(b"\r")
    if len(content) > PROMPT_BYTES_MAX:
        raise UnreadableInput(
            f"Standard input has more than {PROMPT_BYTES_MAX} bytes, the most that can be sent at once. "
            "Put it into a file and name the file."
        )
    try:
        return content.decode()
    except UnicodeDecodeError as err:
        raise UnreadableInput("Standard input is not UTF-8 text. Convert it, or name the file in a prompt.") from err


async def _send(desk: OperatorDesk, request: Send) -> Outcome:
    office = await desk.find_office(request.office)
    session = choose_session(
        await desk.sessions.get_sessions_by_office(office.id, with_ended=request.session is not None),
        chosen=request.session,
        role=request.role,
        asking=request.answer,
    )
    dispatcher = desk.dispatcher(office.id)
    if request.answer:
        return await dispatcher.dispatch_send_text(
            session.session_id,
            SendText(text=request.text, answer=True),
            timeout=request.timeout,
            command_id=request.command_id,
        )
    return await dispatcher.dispatch_send_prompt(
        session.session_id,
        request.text,
        timeout=request.timeout,
        turn_limit_ms=None if request.turn_limit is None else max(round(request.turn_limit * 1000), 1),
        command_id=request.command_id,
    )
