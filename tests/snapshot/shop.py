"""The office of the pictures: every condition once, output in colour and in Hangul."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from semo_console.state import news
from semo_console.state.console import Change, ConsoleState
from semo_console.state.receipts import Receipt, Step
from semo_office.models import CommandStatus, CommandType, Confidence, SessionStatus
from tests.snapshot.scene import NOW, OFFICE, OTHER_OFFICE, Rows, Scene, office_state, session
from tests.snapshot.work import work

SESSIONS = (
    session(1, "BE", SessionStatus.WAITING_INPUT, minutes=4, reason="continuation: the shell wants more input"),
    session(2, "BE", SessionStatus.EXECUTING, minutes=12),
    session(3, "FE", SessionStatus.READY, minutes=11),
    session(4, "QA", SessionStatus.ERROR, minutes=9, reason="the terminal does not answer"),
    session(5, "문서", SessionStatus.READY, minutes=40),
    session(6, "FE", SessionStatus.EXECUTING, minutes=14).model_copy(
        update={"office_id": OTHER_OFFICE.id, "confidence": Confidence.LOW, "reason": "quiet for 14 m"}
    ),
)
OUTPUTS = {
    SESSIONS[0].session_id: Rows(
        "\x1b[32mana@mac\x1b[0m:\x1b[34m~/src/shop\x1b[0m$ echo 안녕하세요",
        "안녕하세요",
        "\x1b[32mana@mac\x1b[0m:\x1b[34m~/src/shop\x1b[0m$ echo it's",
        "> ",
    ),
    SESSIONS[1].session_id: Rows(
        "\x1b[32mana@mac\x1b[0m:\x1b[34m~/src/shop\x1b[0m$ make test",
        "\x1b[1mtests/unit\x1b[0m        \x1b[32m142 passed\x1b[0m",
        "\x1b[1mtests/checkout\x1b[0m    \x1b[31m3 failed\x1b[0m, \x1b[32m39 passed\x1b[0m",
        "   41 \x1b[31m-   r = v1.charge(cart)\x1b[0m",
        "   41 \x1b[32m+   r = v2.charge(cart, key)\x1b[0m",
        "\x1b[48;5;236m 장바구니 결제 테스트 \x1b[0m 실행 중 ...",
        "",
        cursor=(0, 0),
    ),
}


def shop(*, state: ConsoleState | None = None) -> Scene:
    return Scene(state=state or shop_state(), outputs=OUTPUTS)


def shop_state() -> ConsoleState:
    """Everything that a screen can show, at one moment."""
    state = office_state(*SESSIONS[:2], *SESSIONS[3:])
    working = SESSIONS[2].model_copy(
        update={"status": SessionStatus.EXECUTING, "status_as_of": NOW - timedelta(hours=1)}
    )
    changes: list[Change] = [
        partial(news.see_session, session=working),
        partial(news.see_session, session=SESSIONS[2].model_copy(update={"version": 2})),
        partial(news.see_receipt, receipt=_receipt(1, "echo it's", "queued", "claimed", "typed", "accepted")),
        partial(news.see_receipt, receipt=_receipt(2, "make test", "queued", "claimed", "typed", "accepted")),
        partial(news.see_receipt, receipt=_receipt(2, "add a changelog line", "queued", number=3)),
        *work(SESSIONS[1].session_id),
    ]
    for change in changes:
        state, _ = change(state)
    return state


def _receipt(session_number: int, text: str, *stages: str, number: int | None = None) -> Receipt:
    owner = SESSIONS[session_number - 1]
    at = NOW - timedelta(minutes=12)
    return Receipt(
        command_id=UUID(int=1000 + (number or session_number)),
        session_id=owner.session_id,
        office_id=OFFICE.id,
        command_type=CommandType.SEND_PROMPT,
        text=text,
        sent_at=at,
        steps=tuple(Step(stage, at + timedelta(seconds=index)) for index, stage in enumerate(stages)),
        status=CommandStatus.PENDING if stages == ("queued",) else CommandStatus.PROCESSING,
    )
