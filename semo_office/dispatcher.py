"""Sending commands to the sessions of one office, and waiting for what comes of them."""

from typing import Final
from uuid import UUID, uuid4

from semo_office.breaker import BreakerGate, CircuitBreaker
from semo_office.commands import CommandRepository, NewCommand, Outcome, OutcomeKind
from semo_office.errors import CommandError, ErrorCode, WaitEnded
from semo_office.models import (
    PROMPT_BYTES_MAX,
    AgentCommand,
    Cancel,
    CommandPayload,
    CreateSession,
    GetOutput,
    SendPrompt,
    SendText,
    Terminate,
)

DONT_WAIT: Final = 0.0


class CommandDispatcher:
    """Writes commands for one office. Every `dispatch_…` returns an Outcome and changes nothing when the wait ends.

    `timeout` is how long the caller waits, s: 0 not at all (kind `sent`), None for ever; when it is over the kind is
    `still_waiting` and the command goes on. `command_id` makes a call repeatable: the same id with the same content
    is the same command. Raises CommandError when the office refuses, LinkError when it can't be reached.

    What starts a CLI, and what a job asks of it, passes the `gate` first; it raises CommandError(BREAKER_OPEN) too.
    """

    def __init__(self, commands: CommandRepository, office_id: UUID, gate: BreakerGate | None = None) -> None:
        self._commands = commands
        self._office_id = office_id
        self._gate = gate or BreakerGate(commands.clock)

    async def dispatch_create_session(
        self,
        request: CreateSession,
        *,
        session_id: UUID | None = None,
        timeout: float | None = DONT_WAIT,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Start a CLI; finished when it is ready for a prompt. The session's id is `outcome.command.session_id`."""
        breaker = self._gate.breaker_of(request.profile, request.host_id)
        return await self._dispatch(request, session_id or uuid4(), timeout, command_id, breaker=breaker)

    async def dispatch_send_prompt(
        self,
        session_id: UUID,
        prompt: str,
        *,
        timeout: float | None = DONT_WAIT,
        until_input: bool = True,
        start_by_ms: int | None = None,
        turn_limit_ms: int | None = None,
        job_profile: str | None = None,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Begin a turn once the session is ready; finished when the turn has ended.

        `until_input`: return also when the session asks something. `start_by_ms`: how long it may wait to begin, ms.
        `turn_limit_ms`: how long the turn may run, ms; then it is stopped with Ctrl-C and fails with TIMEOUT.
        `job_profile`: of a job's prompt, the profile of its session; a person's prompt passes no breaker.
        Raises CommandError(INVALID_PAYLOAD) for an empty prompt and for more than 262 144 bytes.
        """
        payload = SendPrompt(prompt=typeable(prompt, "prompt"), turn_limit_ms=turn_limit_ms)
        breaker = self._gate.breaker_of(job_profile) if job_profile is not None else None
        return await self._dispatch(payload, session_id, timeout, command_id, start_by_ms, until_input, breaker)

    async def dispatch_send_text(
        self,
        session_id: UUID,
        request: SendText,
        *,
        timeout: float | None = DONT_WAIT,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Type text, answer a question or send raw bytes; finished when it is typed.

        Raises CommandError(INVALID_PAYLOAD).
        """
        payload = request.model_copy(update={"text": _text_of(request)})
        return await self._dispatch(payload, session_id, timeout, command_id)

    async def dispatch_get_output(
        self,
        session_id: UUID,
        request: GetOutput | None = None,
        *,
        timeout: float | None = DONT_WAIT,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Read output; it is in `outcome.result.result`."""
        return await self._dispatch(request or GetOutput(), session_id, timeout, command_id)

    async def dispatch_cancel(
        self, session_id: UUID, *, timeout: float | None = DONT_WAIT, command_id: UUID | None = None
    ) -> Outcome:
        """Stop the turn that runs; finished when the session is back at its prompt."""
        return await self._dispatch(Cancel(), session_id, timeout, command_id)

    async def dispatch_terminate(
        self,
        session_id: UUID,
        request: Terminate | None = None,
        *,
        timeout: float | None = DONT_WAIT,
        command_id: UUID | None = None,
    ) -> Outcome:
        """End the session; finished when its process is gone and its tab closed."""
        return await self._dispatch(request or Terminate(), session_id, timeout, command_id)

    async def wait_for_outcome(self, command_id: UUID, timeout: float | None, *, until_input: bool = True) -> Outcome:
        """Wait for a command that was sent before. Raises CommandNotFound."""
        try:
            return await self._commands.wait_for_outcome(command_id, timeout, until_input=until_input)
        except WaitEnded:
            return await self._commands.get_outcome(command_id)

    async def _dispatch(
        self,
        payload: CommandPayload,
        session_id: UUID,
        timeout: float | None,
        command_id: UUID | None,
        start_by_ms: int | None = None,
        until_input: bool = True,
        breaker: CircuitBreaker | None = None,
    ) -> Outcome:
        command = NewCommand.carrying(
            payload,
            office_id=self._office_id,
            session_id=session_id,
            command_id=command_id,
            start_by_ms=start_by_ms,
        )
        if timeout == DONT_WAIT:
            return Outcome(kind=OutcomeKind.SENT, command=await self._write(command, breaker))
        async with self._commands.expect(command) as change:
            written = await self._write(command, breaker)
            try:
                return await self._commands.settle(change, written.id, timeout, until_input=until_input)
            except WaitEnded:
                return await self._commands.get_outcome(written.id)

    async def _write(self, command: NewCommand, breaker: CircuitBreaker | None) -> AgentCommand:
        if breaker is None:
            return await self._commands.create_command(command)
        return await breaker.execute(lambda: self._commands.create_command(command))


def typeable(text: str, what: str) -> str:
    """The text without NUL, which neither JSON in the database nor a terminal's paste can carry.

    Raises CommandError(INVALID_PAYLOAD) for what can't be a prompt; `what` is its name in the sentence.
    """
    clean = text.replace("\x00", "")
    if not clean.strip(" \t\r\n"):
        raise CommandError(ErrorCode.INVALID_PAYLOAD, f"The {what} is empty.")
    _check_size(clean, what)
    return clean


def _text_of(request: SendText) -> str:
    if request.raw and "\x00" in request.text:
        raise CommandError(ErrorCode.INVALID_PAYLOAD, "NUL can't be sent.")
    text = request.text.replace("\x00", "")
    if not text and (request.raw or not request.enter):
        raise CommandError(ErrorCode.INVALID_PAYLOAD, "The text is empty.")
    _check_size(text, "text")
    return text


def _check_size(text: str, what: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as err:
        raise CommandError(ErrorCode.INVALID_PAYLOAD, f"The {what} is not valid Unicode text.") from err
    if size > PROMPT_BYTES_MAX:
        raise CommandError(
            ErrorCode.INVALID_PAYLOAD,
            f"The {what} has {size} bytes; at most {PROMPT_BYTES_MAX} can be sent at once. "
            "Put it into a file and name the file.",
        )
