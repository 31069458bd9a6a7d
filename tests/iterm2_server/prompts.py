"""Prompts and commands, as shell integration marks them."""

from dataclasses import dataclass
from uuid import uuid4

from iterm2 import api_pb2

from tests.iterm2_server.buffer import Cursor, Mark
from tests.iterm2_server.notifications import Notifications
from tests.iterm2_server.rows import Row
from tests.iterm2_server.session import Session


@dataclass
class Prompt:
    """One prompt, the command after it, and its output."""

    prompt_id: str
    begins: Cursor
    command_begins: Cursor | None = None
    output_begins: Cursor | None = None
    output_ends: Cursor | None = None
    command: str = ""
    status: int | None = None

    def message(self, session: Session) -> api_pb2.GetPromptResponse:
        message = api_pb2.GetPromptResponse(status=api_pb2.GetPromptResponse.OK, unique_prompt_id=self.prompt_id)
        end = self.command_begins or session.buffer.cursor
        message.prompt_range.CopyFrom(_range(self.begins, end))
        message.command_range.CopyFrom(_range(end, self.output_begins or session.buffer.cursor))
        if self.output_begins is not None:
            message.output_range.CopyFrom(_range(self.output_begins, self.output_ends or session.buffer.cursor))
        message.command = self.command
        message.working_directory = session.variable("path") or ""
        message.prompt_state = self._state()
        if self.status is not None:
            message.exit_status = self.status
        return message

    def _state(self) -> api_pb2.GetPromptResponse.State.ValueType:
        if self.output_begins is None:
            return api_pb2.GetPromptResponse.EDITING
        if self.output_ends is None:
            return api_pb2.GetPromptResponse.RUNNING
        return api_pb2.GetPromptResponse.FINISHED


class Prompts:
    """The prompts of all sessions, oldest first."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._of: dict[str, list[Prompt]] = {}

    def of(self, session: Session) -> list[Prompt]:
        return self._of.get(session.guid, [])

    def mark(self, session: Session, mark: Mark) -> None:
        """Take a mark in; tells what came of it."""
        if mark.kind == "A":
            self._begin(session, mark.at)
        elif last := self.of(session)[-1:]:
            self._go_on(session, last[0], mark)

    def _begin(self, session: Session, at: Cursor) -> None:
        prompt = Prompt(str(uuid4()).upper(), at)
        self._of.setdefault(session.guid, []).append(prompt)
        told = api_pb2.PromptNotification(session=session.guid, unique_prompt_id=prompt.prompt_id)
        told.prompt.prompt.CopyFrom(prompt.message(session))
        self._notifications.prompt(session, told, api_pb2.PROMPT)

    def _go_on(self, session: Session, prompt: Prompt, mark: Mark) -> None:
        told = api_pb2.PromptNotification(session=session.guid, unique_prompt_id=prompt.prompt_id)
        if mark.kind == "B":
            prompt.command_begins = mark.at
        elif mark.kind == "C" and prompt.output_begins is None:
            prompt.output_begins = mark.at
            prompt.command = _text(session, prompt.command_begins or prompt.begins, mark.at)
            told.command_start.command = prompt.command
            self._notifications.prompt(session, told, api_pb2.COMMAND_START)
        elif mark.kind == "D" and prompt.output_begins is not None and prompt.output_ends is None:
            prompt.output_ends = mark.at
            status = mark.parameters.partition(";")[0]
            prompt.status = told.command_end.status = int(status) if status.isdigit() else 0
            self._notifications.prompt(session, told, api_pb2.COMMAND_END)


def _text(session: Session, start: Cursor, end: Cursor) -> str:
    """What stands between two places, its lines joined."""
    rows = session.buffer.lines(start.y, end.y + 1)
    rows[-1:] = [Row.of(rows[-1].cells[: end.x], wrapped=False)] if rows else []
    texts = ["".join(cell.text for cell in row.cells[start.x if at == 0 else 0 :]) for at, row in enumerate(rows)]
    return "".join(texts).strip()


def _range(start: Cursor, end: Cursor) -> api_pb2.CoordRange:
    return api_pb2.CoordRange(start=api_pb2.Coord(x=start.x, y=start.y), end=api_pb2.Coord(x=end.x, y=end.y))
