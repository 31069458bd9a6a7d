from datetime import timedelta

from semo_console.cli.actions.explaining import facts_of
from semo_office.models import CommandEvent, SessionStatus
from tests.unit.semo_console.cli.actions.rows import NOON, command, session


def test_a_state_is_explained_by_its_evidence_and_age() -> None:
    asks = session("aa", status=SessionStatus.WAITING_INPUT, reason="어느 것?").model_copy(
        update={"status_source": "hooks"}
    )
    accepted = CommandEvent(
        command_id=command(status="processing", stage="accepted").id,
        stage="accepted",
        actor="agent",
        at=NOON,
        evidence={"source": "hooks", "event": "UserPromptSubmit"},
    )
    assert list(facts_of(asks, [accepted], NOON + timedelta(seconds=41))) == [
        ("state", "asks"),
        ("since", "2026-01-01 12:00:00 UTC, 41 s ago"),
        ("told by", "an event that the program reported by a hook"),
        ("certain", "yes"),
        ("reason", "어느 것?"),
        ("accepted", "12:00:00 by the agent source=hooks event=UserPromptSubmit"),
    ]


def test_a_source_without_words_is_named() -> None:
    assert dict(facts_of(session("aa"), [], NOON))["told by"] == "test"
