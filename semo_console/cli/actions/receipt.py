"""What came of a command, for scripts and for people."""

import sys

from pydantic import JsonValue

from semo_console.cli.actions.wording import SHORT_ID, print_json, remark
from semo_console.cli.exits import ExitCode
from semo_office.commands import Outcome, OutcomeKind
from semo_office.models import AgentCommandResult, CommandEvent, Stage

_EXIT_CODES: dict[OutcomeKind, ExitCode] = {
    OutcomeKind.SENT: ExitCode.OK,
    OutcomeKind.WAITING_INPUT: ExitCode.WAITING_INPUT,
    OutcomeKind.STILL_WAITING: ExitCode.NOT_FINISHED,
}


def exit_code_of(outcome: Outcome, *, failed: ExitCode = ExitCode.FAILED) -> ExitCode:
    """`failed` is how a command that ended without success is told."""
    if outcome.kind is OutcomeKind.FINISHED:
        return ExitCode.OK if outcome.result and outcome.result.success else failed
    return _EXIT_CODES[outcome.kind]


def to_json(outcome: Outcome) -> dict[str, JsonValue]:
    """An AgentCommandResult with the receipt; what is not known yet is null."""
    asks = outcome.kind is OutcomeKind.WAITING_INPUT
    return {
        **_result_fields(outcome),
        "session_id": str(outcome.command.session_id),
        "status": outcome.command.status,
        "stage": outcome.command.stage,
        "waiting_input": asks,
        "reason": outcome.session.reason if asks and outcome.session else None,
        "receipt": [_step(event) for event in outcome.events],
    }


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(to_json(outcome))
    else:
        print_output(outcome.result)
        remark(summarise(outcome))


def print_output(result: AgentCommandResult | None) -> None:
    """What the program printed, exactly, on standard output; of an agent CLI its answer, without the screen around."""
    told = (result.result or {}) if result else {}
    output = told.get("last_message") or told.get("output")
    if isinstance(output, str) and output:
        sys.stdout.write(f"{output}\n")
        sys.stdout.flush()


def summarise(outcome: Outcome) -> str:
    """One line: how it ended, and when it was accepted."""
    parts = [_ending(outcome), _accepted_after(outcome.events)]
    return " · ".join(part for part in parts if part)


def _result_fields(outcome: Outcome) -> dict[str, JsonValue]:
    if outcome.result is not None:
        return outcome.result.model_dump(mode="json")
    unknown: dict[str, JsonValue] = dict.fromkeys(AgentCommandResult.model_fields)
    return {**unknown, "command_id": str(outcome.command.id)}


def _step(event: CommandEvent) -> JsonValue:
    return event.model_dump(mode="json", include={"stage", "at", "actor", "evidence"})


def _ending(outcome: Outcome) -> str:
    match outcome.kind:
        case OutcomeKind.SENT:
            return (
                f"sent to {str(outcome.command.session_id)[:SHORT_ID]} as {outcome.command.id}, {outcome.command.stage}"
            )
        case OutcomeKind.WAITING_INPUT:
            reason = outcome.session.reason if outcome.session else None
            return f"asks: {reason or 'the session waits for input'} (answer with `semo send --answer`)"
        case OutcomeKind.STILL_WAITING:
            return f"not finished yet ({outcome.command.stage}); it goes on"
        case OutcomeKind.FINISHED:
            return _result_in_words(outcome.result)


def _result_in_words(result: AgentCommandResult | None) -> str:
    if result is None:
        return "finished"
    if not result.success:
        return f"failed: {result.message or result.error}"
    if isinstance(failure := (result.result or {}).get("failure"), dict):
        return f"the program says that it failed ({failure.get('kind')}): {failure.get('message')}"
    exit_status = (result.result or {}).get("exit_status")
    return "done" if exit_status is None else f"exit {exit_status}"


def _accepted_after(events: tuple[CommandEvent, ...]) -> str | None:
    times = {event.stage: event.at for event in events}
    queued, accepted = times.get(Stage.QUEUED), times.get(Stage.ACCEPTED)
    return f"accepted after {(accepted - queued).total_seconds():.1f} s" if queued and accepted else None
