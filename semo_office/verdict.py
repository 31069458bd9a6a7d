"""What the end of a turn says of a job, and whether the job is tried again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from semo_office.briefing import MARKER
from semo_office.errors import ErrorCode
from semo_office.jobs import Verdict
from semo_office.models import AgentCommandResult, AttemptStatus, JobAttempt

EVIDENCE_LINES: Final = 20
EVIDENCE_CHARACTERS: Final = 4_000
MESSAGE_CHARACTERS: Final = 16_000
_MEASURED: Final[tuple[str, ...]] = ("exit_status", "duration_ms", "failure")

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_DECORATION: Final = " \t`*_~>|.!⏺●•│"
# A narrow screen may have broken the line that often.
_PIECES: Final = 4


class Failure(StrEnum):
    """A turn of which the CLI itself says that it failed."""

    RATE_LIMIT = "rate_limit"
    AUTH = "auth"
    API_ERROR = "api_error"
    OTHER = "other"


@dataclass(frozen=True)
class Retry:
    """How often one failure is tried again in a round, and after which pause; each next pause is twice as long."""

    times: int
    pause_ms: int = 0


RETRIES: Final[dict[ErrorCode | Failure, Retry]] = {
    ErrorCode.LAUNCH_FAILED: Retry(3, 2_000),
    ErrorCode.TERMINAL_UNAVAILABLE: Retry(3, 2_000),
    ErrorCode.HOST_OFFLINE: Retry(3, 2_000),
    ErrorCode.BREAKER_OPEN: Retry(8, 5_000),
    # In these three cases the prompt was not typed.
    ErrorCode.DRAFT_PRESENT: Retry(3, 2_000),
    ErrorCode.NOT_READY: Retry(3, 2_000),
    ErrorCode.SESSION_BLOCKED: Retry(3, 2_000),
    ErrorCode.SESSION_EXITED: Retry(1),
    ErrorCode.TIMEOUT: Retry(1),
    # The breaker of the CLI, which counts them too, holds back the rest meanwhile.
    Failure.RATE_LIMIT: Retry(5, 60_000),
    Failure.AUTH: Retry(3, 60_000),
    Failure.API_ERROR: Retry(3, 10_000),
}


def judge(result: AgentCommandResult, nonce: str | None = None) -> Verdict:
    """What the end of the turn says of the job.

    Without a nonce (a shell): done with exit status 0, and with nothing else. With one (a CLI): done when the last
    message of the turn ends with it, and with nothing else; without it a person decides.
    """
    facts = result.result or {}
    if not result.success:
        return verdict_of(result.error, result.message, _evidence(facts))
    return _judge_exit(facts) if nonce is None else _judge_message(facts, nonce)


def verdict_of(code: ErrorCode | None, reason: str | None, evidence: dict[str, JsonValue] | None = None) -> Verdict:
    """Of a prompt that failed on its way. Whether one that may have arrived was done, only a person can say."""
    status: AttemptStatus = AttemptStatus.FAILED
    if code is ErrorCode.CANCELLED:
        status = AttemptStatus.CANCELLED
    elif code is ErrorCode.INDETERMINATE:
        status = AttemptStatus.NEEDS_REVIEW
    return Verdict.model_validate({"status": status, "error": code, "reason": reason, "evidence": evidence or {}})


def pause_before_retry(verdict: Verdict, attempts: Sequence[JobAttempt]) -> int | None:
    """ms until the job is tried again; None: not by itself. `attempts`: all of the job, this one the last."""
    cause = _cause(verdict.error, verdict.evidence)
    if verdict.status is not AttemptStatus.FAILED or cause is None or verdict.may_still_run or not attempts:
        return None
    this = attempts[-1]
    same = [each for each in attempts[:-1] if each.round == this.round and _cause(each.error, each.evidence) is cause]
    retry = RETRIES.get(cause, Retry(0))
    return retry.pause_ms * 2 ** len(same) if len(same) < retry.times else None


def result_text(evidence: dict[str, JsonValue]) -> str:
    """What an attempt left to read: its last message, else the end of its output."""
    for name in ("last_message", "output"):
        if isinstance(text := evidence.get(name), str) and text.strip():
            return text
    return ""


def _judge_exit(facts: dict[str, JsonValue]) -> Verdict:
    evidence = _evidence(facts)
    exit_status = facts.get("exit_status")
    if exit_status == 0:
        return Verdict(status=AttemptStatus.DONE, evidence=evidence)
    reason = "It ended without an exit status." if exit_status is None else f"exit {exit_status}"
    return Verdict(status=AttemptStatus.FAILED, reason=reason, evidence=evidence)


def _judge_message(facts: dict[str, JsonValue], nonce: str) -> Verdict:
    message = facts.get("last_message")
    before_marker = _without_marker(message, MARKER + nonce) if isinstance(message, str) else None
    evidence = _evidence(facts if before_marker is None else {**facts, "last_message": before_marker})
    if (failure := facts.get("failure")) is not None:
        return Verdict(status=AttemptStatus.FAILED, reason=_failure_sentence(failure), evidence=evidence)
    if before_marker is not None:
        return Verdict(status=AttemptStatus.DONE, evidence=evidence)
    reason = "The turn ended and did not say that the job is done."
    return Verdict(status=AttemptStatus.NEEDS_REVIEW, reason=reason, evidence=evidence)


def _without_marker(message: str, marker: str) -> str | None:
    """The message before the marker on a line of its own at its end; None: it does not end so."""
    lines = _ESCAPES.sub("", message).rstrip().split("\n")
    tail = ""
    for count in range(1, min(_PIECES, len(lines)) + 1):
        tail = lines[-count].strip().strip(_DECORATION) + tail
        if tail == marker:
            return "\n".join(lines[:-count]).rstrip()
    return None


def _failure_sentence(failure: JsonValue) -> str:
    kind = _failure_kind(failure)
    message = failure.get("message") if isinstance(failure, dict) else None
    words = {
        Failure.RATE_LIMIT: "The CLI's rate limit is used up",
        Failure.AUTH: "The CLI is not signed in",
        Failure.API_ERROR: "The CLI's service failed",
        Failure.OTHER: "The CLI says that the turn failed",
    }[kind]
    return f"{words}: {message}" if isinstance(message, str) and message else f"{words}."


def _failure_kind(failure: JsonValue) -> Failure:
    kind = failure.get("kind") if isinstance(failure, dict) else None
    return Failure(kind) if isinstance(kind, str) and kind in set(Failure) else Failure.OTHER


def _cause(error: ErrorCode | None, evidence: dict[str, JsonValue]) -> ErrorCode | Failure | None:
    if error is not None:
        return error
    failure = evidence.get("failure")
    return _failure_kind(failure) if failure is not None else None


def _evidence(facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {name: facts[name] for name in _MEASURED if name in facts}
    if isinstance(output := facts.get("output"), str):
        kept["output"] = _last_lines(output)
    if isinstance(message := facts.get("last_message"), str):
        kept["last_message"] = message[-MESSAGE_CHARACTERS:]
    return kept


def _last_lines(output: str) -> str:
    return "\n".join(output.split("\n")[-EVIDENCE_LINES:])[-EVIDENCE_CHARACTERS:]
