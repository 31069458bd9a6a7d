from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from semo_console.cli.actions.receipt import exit_code_of, print_outcome, summarise, to_json
from semo_console.cli.exits import ExitCode
from semo_office.commands import Outcome, OutcomeKind
from semo_office.models import SessionStatus
from tests.unit.semo_console.cli.actions.rows import NOON, command, session

RESULT_FIELDS = {"id", "command_id", "success", "result", "error", "message", "created_at"}


def finished(*, success: bool = True, **fields: object) -> Outcome:
    result: dict[str, Any] = {"id": UUID(int=9), "command_id": UUID(int=7), "success": success, "created_at": NOON}
    steps = [("queued", "operator", 0), ("accepted", "agent", 0.14), ("turn_ended", "agent", 1)]
    return Outcome.model_validate(
        {
            "kind": OutcomeKind.FINISHED,
            "command": command(status="completed" if success else "failed", stage="turn_ended"),
            "result": {**result, **fields},
            "events": [
                {"command_id": UUID(int=7), "stage": stage, "actor": actor, "at": NOON + timedelta(seconds=after)}
                for stage, actor, after in steps
            ],
        }
    )


def unfinished(kind: OutcomeKind) -> Outcome:
    asks = session("aa", status=SessionStatus.WAITING_INPUT, reason="continuation")
    return Outcome(kind=kind, command=command(status="processing", stage="typed"), session=asks)


def test_a_finished_command_is_its_result_with_the_receipt() -> None:
    printed = to_json(finished(result={"output": "42", "exit_status": 0}))
    assert printed.keys() == RESULT_FIELDS | {"session_id", "status", "stage", "waiting_input", "reason", "receipt"}
    assert printed["success"] is True
    assert printed["result"] == {"output": "42", "exit_status": 0}
    assert printed["receipt"] == [
        {"stage": "queued", "at": "2026-01-01T12:00:00Z", "actor": "operator", "evidence": {}},
        {"stage": "accepted", "at": "2026-01-01T12:00:00.140000Z", "actor": "agent", "evidence": {}},
        {"stage": "turn_ended", "at": "2026-01-01T12:00:01Z", "actor": "agent", "evidence": {}},
    ]


def test_an_unfinished_command_has_the_same_keys() -> None:
    printed = to_json(unfinished(OutcomeKind.SENT))
    assert printed.keys() == to_json(finished()).keys()
    assert printed["command_id"] == str(UUID(int=7))
    assert (printed["success"], printed["stage"], printed["waiting_input"]) == (None, "typed", False)


def test_a_session_that_asks_says_why() -> None:
    printed = to_json(unfinished(OutcomeKind.WAITING_INPUT))
    assert (printed["waiting_input"], printed["reason"]) == (True, "continuation")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (finished(result={"exit_status": 3}), ExitCode.OK),
        (finished(success=False, error="session_exited"), ExitCode.PROMPT_FAILED),
        (unfinished(OutcomeKind.SENT), ExitCode.OK),
        (unfinished(OutcomeKind.WAITING_INPUT), ExitCode.WAITING_INPUT),
        (unfinished(OutcomeKind.STILL_WAITING), ExitCode.NOT_FINISHED),
    ],
)
def test_the_exit_code_says_how_it_ended(outcome: Outcome, code: ExitCode) -> None:
    assert exit_code_of(outcome, failed=ExitCode.PROMPT_FAILED) is code


def test_a_person_reads_how_it_ended_and_when_it_was_accepted() -> None:
    assert summarise(finished(result={"exit_status": 3})) == "exit 3 · accepted after 0.1 s"
    failed = finished(success=False, error="session_exited", message="The program ended.")
    assert summarise(failed) == "failed: The program ended. · accepted after 0.1 s"


def test_the_output_goes_to_standard_output_exactly_and_the_rest_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_outcome(finished(result={"output": "  a\n\n안녕", "exit_status": 0}), as_json=False)
    captured = capsys.readouterr()
    assert captured.out == "  a\n\n안녕\n"
    assert captured.err == "exit 0 · accepted after 0.1 s\n"


def test_of_an_agent_cli_its_answer_is_printed_and_what_it_says_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"kind": "rate_limit", "message": "Until 5 pm."}
    outcome = finished(result={"output": "* Working", "last_message": "했습니다", "failure": failure})
    print_outcome(outcome, as_json=False)
    printed = capsys.readouterr()
    assert printed.out == "했습니다\n"
    assert printed.err.startswith("the program says that it failed (rate_limit): Until 5 pm. · accepted after 0.1 s")
