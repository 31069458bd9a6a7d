"""A state under test, and one step after the other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from uuid import UUID

from semo_console.state import actions, news
from semo_console.state.actions import Action, Circumstances
from semo_console.state.console import ConsoleState, Step
from semo_console.state.effects import Effect
from semo_console.state.panes import Extent
from semo_console.state.receipts import Receipt
from semo_console.state.receipts import Step as ReceiptStep
from semo_office.errors import ErrorCode
from semo_office.models import CommandStatus, CommandType, SessionInfo
from tests.snapshot.scene import NOW, OFFICE, office_state


@dataclass
class Console:
    """The state after all steps so far, and what they wanted done."""

    state: ConsoleState
    wanted: list[Effect] = field(default_factory=list)
    ids: Callable[[], UUID] = field(default_factory=lambda: partial(next, (UUID(int=n) for n in count(100))))

    @classmethod
    def over(cls, *sessions: SessionInfo) -> "Console":
        return cls(office_state(*sessions))

    def step(self, change: Callable[[ConsoleState], Step]) -> "Console":
        self.state, effects = change(self.state)
        self.wanted += effects
        return self

    def act(self, action: Action, extent: Extent | None = None) -> "Console":
        return self.step(lambda state: action(state, Circumstances(self.ids, extent or Extent(0, 0, 1))))

    def see(self, *sessions: SessionInfo) -> "Console":
        for each in sessions:
            self.step(partial(news.see_session, session=each))
        return self

    def type(self, text: str) -> "Console":
        return self.step(partial(actions.edit, text=text))

    def fill_card(self, text: str) -> "Console":
        return self.step(partial(actions.edit_card, text=text)).act(actions.submit_card)

    @property
    def selected(self) -> UUID | None:
        return self.state.roster.selected

    @property
    def notice(self) -> str:
        return self.state.notice.text if self.state.notice else ""


def told_receipt(
    receipt: Receipt,
    *stages: str,
    status: CommandStatus = CommandStatus.PROCESSING,
    error: ErrorCode | None = None,
    exit_status: int | None = None,
) -> Receipt:
    """The same command as the office tells it."""
    return Receipt(
        command_id=receipt.command_id,
        session_id=receipt.session_id,
        office_id=OFFICE.id,
        command_type=CommandType.SEND_PROMPT,
        text=receipt.text,
        sent_at=NOW,
        steps=tuple(ReceiptStep(stage, NOW) for stage in stages),
        status=status,
        error=error,
        exit_status=exit_status,
    )
