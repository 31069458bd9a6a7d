"""What the end of a turn says of a job: done or not, and whether it is tried again."""

from uuid import UUID

import pytest
from pydantic import JsonValue

from semo_office.errors import ErrorCode
from semo_office.jobs import Verdict, creation_id_of, new_session_id_of, prompt_id_of
from semo_office.models import AgentCommandResult, AttemptStatus, JobAttempt
from semo_office.verdict import EVIDENCE_CHARACTERS, judge, pause_before_retry, verdict_of
from tests.unit.semo_office.fakes import EPOCH

JOB, COMMAND = UUID(int=1), UUID(int=2)


def result(error: ErrorCode | None = None, **facts: JsonValue) -> AgentCommandResult:
    return AgentCommandResult(
        id=UUID(int=3),
        command_id=COMMAND,
        success=error is None,
        result=facts,
        error=error,
        message="why" if error else None,
        created_at=EPOCH,
    )


def attempt(number: int, error: ErrorCode | None = None, *, round_: int = 1, sent: bool = False) -> JobAttempt:
    return JobAttempt(
        id=UUID(int=number),
        job_id=JOB,
        attempt=number,
        round=round_,
        status=AttemptStatus.FAILED if error else AttemptStatus.RUNNING,
        command_id=COMMAND if sent else None,
        error=error,
        started_at=EPOCH,
    )


def failed(error: ErrorCode) -> Verdict:
    return Verdict(status=AttemptStatus.FAILED, error=error)


# Done or not


def test_exit_status_0_is_done() -> None:
    verdict = judge(result(exit_status=0, output="built", duration_ms=12))
    assert verdict == Verdict(
        status=AttemptStatus.DONE, evidence={"exit_status": 0, "output": "built", "duration_ms": 12}
    )


@pytest.mark.parametrize(("exit_status", "reason"), [(3, "exit 3"), (None, "It ended without an exit status.")])
def test_any_other_end_of_the_turn_is_a_failure_that_is_not_tried_again(exit_status: int | None, reason: str) -> None:
    verdict = judge(result(exit_status=exit_status, output="done, completed, success"))
    assert (verdict.status, verdict.error, verdict.reason) == (AttemptStatus.FAILED, None, reason)
    assert pause_before_retry(verdict, [attempt(1)]) is None


def test_a_prompt_that_failed_on_its_way_fails_with_its_code() -> None:
    verdict = judge(result(ErrorCode.LAUNCH_FAILED))
    assert (verdict.status, verdict.error, verdict.reason) == (AttemptStatus.FAILED, ErrorCode.LAUNCH_FAILED, "why")


def test_of_a_prompt_that_may_have_arrived_a_person_decides() -> None:
    verdict = judge(result(ErrorCode.INDETERMINATE))
    assert (verdict.status, verdict.error) == (AttemptStatus.NEEDS_REVIEW, ErrorCode.INDETERMINATE)


def test_a_turn_that_was_cancelled_is_no_failure() -> None:
    assert judge(result(ErrorCode.CANCELLED, exit_status=130)).status is AttemptStatus.CANCELLED


def test_evidence_is_the_end_of_the_output() -> None:
    lines = [f"line {number}" for number in range(100)]
    assert judge(result(exit_status=0, output="\n".join(lines))).evidence["output"] == "\n".join(lines[-20:])
    long = judge(result(exit_status=0, output="x" * 10_000)).evidence["output"]
    assert long == "x" * EVIDENCE_CHARACTERS


# A CLI's own word

NONCE = "0a1b2c3d4e5f6071"
DONE = f"SEMO-DONE-{NONCE}"


@pytest.mark.parametrize(
    "message",
    [
        f"All tests pass.\n\n{DONE}",
        f"{DONE}\n",
        f"끝났습니다.\n`{DONE}`  \n",
        f"```\n{DONE}\n```",
        f"⏺ Done.\n  {DONE}.",
        f"Error: this is code, not a failure\n{DONE}",
    ],
)
def test_a_last_message_that_ends_with_the_nonce_is_done(message: str) -> None:
    verdict = judge(result(last_message=message), NONCE)
    assert (verdict.status, verdict.error, verdict.reason) == (AttemptStatus.DONE, None, None)
    assert NONCE not in str(verdict.evidence)


@pytest.mark.parametrize(
    "message",
    [
        f"\x1b[1mDone.\x1b[0m\n\x1b[38;5;2mSEMO-DONE-\x1b[0m{NONCE}\x1b[K",
        f"Done.\n  SEMO-DONE-{NONCE[:5]}\n  {NONCE[5:]}",
        f"Done.\nSEMO-\nDONE-{NONCE}",
        f"\x1b]8;;https://example.org\x07Done.\x1b]8;;\x07\n{DONE}",
    ],
)
def test_r10_a_marker_in_colour_or_broken_by_a_narrow_screen_is_seen(message: str) -> None:
    assert judge(result(last_message=message), NONCE).status is AttemptStatus.DONE


@pytest.mark.parametrize(
    "message",
    [
        "Done.",
        "",
        f"I will write {DONE} when I am done.",
        f"{DONE}\nBut the tests do not pass yet.",
        f"{DONE}0",
        f"SEMO-DONE-{NONCE[::-1]}",
        "SEMO-DONE-",
        "[SEMO:DONE] Created pull request #5. All tests passed.",
    ],
)
def test_an_end_without_the_word_is_left_to_a_person(message: str) -> None:
    verdict = judge(result(last_message=message, output=f"{message}\n{DONE}"), NONCE)
    assert (verdict.status, verdict.error) == (AttemptStatus.NEEDS_REVIEW, None)
    assert verdict.evidence["last_message"] == message


def test_r9_the_marker_on_the_screen_is_no_completion() -> None:
    assert judge(result(output=f"> do it and print {DONE}\n{DONE}"), NONCE).status is AttemptStatus.NEEDS_REVIEW


@pytest.mark.parametrize("text", ["Error: bad", "npm ERR! x", "Exception: y", "Permission denied", "fatal: z"])
def test_r11_words_of_failure_in_the_text_are_none(text: str) -> None:
    assert judge(result(exit_status=0, output=text)).status is AttemptStatus.DONE
    assert judge(result(last_message=f"{text}\n{DONE}", output=text), NONCE).status is AttemptStatus.DONE


def broken(kind: str, *, message: str = "too many requests") -> Verdict:
    return judge(result(last_message=DONE, failure={"kind": kind, "message": message}), NONCE)


def test_a_turn_of_which_the_cli_says_that_it_failed_is_failed_with_its_words() -> None:
    verdict = broken("rate_limit")
    assert (verdict.status, verdict.error) == (AttemptStatus.FAILED, None)
    assert verdict.reason == "The CLI's rate limit is used up: too many requests"
    assert broken("new kind", message="").reason == "The CLI says that the turn failed."


def test_failures_of_the_cli_are_tried_again_after_pauses_and_counted_by_their_kind() -> None:
    limited, refused = broken("rate_limit"), broken("auth")
    first = attempt(1, sent=True).model_copy(update={"evidence": refused.evidence})
    second = attempt(2, sent=True).model_copy(update={"evidence": limited.evidence})
    third = attempt(3, sent=True).model_copy(update={"evidence": limited.evidence})
    assert pause_before_retry(refused, [first]) == 60_000
    assert pause_before_retry(limited, [first, second]) == 60_000
    assert pause_before_retry(limited, [first, second, third]) == 120_000
    assert pause_before_retry(broken("api_error"), [attempt(1)]) == 10_000
    assert pause_before_retry(broken("other"), [attempt(1)]) is None


# Tried again or not


def test_a_launch_is_tried_three_times_more_and_each_pause_is_longer() -> None:
    tries = [attempt(number, ErrorCode.LAUNCH_FAILED) for number in range(1, 5)]
    pauses = [pause_before_retry(failed(ErrorCode.LAUNCH_FAILED), tries[:count]) for count in range(1, 5)]
    assert pauses == [2_000, 4_000, 8_000, None]


def test_a_crash_is_tried_once_more_at_once() -> None:
    crash = failed(ErrorCode.SESSION_EXITED)
    first = attempt(1, ErrorCode.SESSION_EXITED, sent=True)
    assert pause_before_retry(crash, [first]) == 0
    assert pause_before_retry(crash, [first, attempt(2, ErrorCode.SESSION_EXITED, sent=True)]) is None


def test_what_may_have_arrived_is_never_sent_again() -> None:
    verdict = verdict_of(ErrorCode.INDETERMINATE, None)
    assert pause_before_retry(verdict, [attempt(1, sent=True)]) is None


def test_what_took_too_long_is_tried_once_more_unless_it_may_still_be_at_work() -> None:
    timeout = failed(ErrorCode.TIMEOUT)
    first = attempt(1, ErrorCode.TIMEOUT, sent=True)
    assert pause_before_retry(timeout, [first]) == 0
    assert pause_before_retry(timeout, [first, attempt(2, ErrorCode.TIMEOUT, sent=True)]) is None
    assert pause_before_retry(timeout.model_copy(update={"may_still_run": True}), [first]) is None


def test_a_retry_by_hand_begins_to_count_anew() -> None:
    crash = failed(ErrorCode.SESSION_EXITED)
    before = [attempt(number, ErrorCode.SESSION_EXITED) for number in (1, 2)]
    assert pause_before_retry(crash, [*before, attempt(3, round_=2)]) == 0


def test_other_failures_are_counted_for_themselves() -> None:
    attempts = [attempt(1, ErrorCode.LAUNCH_FAILED), attempt(2, sent=True)]
    assert pause_before_retry(failed(ErrorCode.SESSION_EXITED), attempts) == 0


@pytest.mark.parametrize("code", [ErrorCode.CANCELLED, ErrorCode.FORBIDDEN, ErrorCode.INVALID_PAYLOAD])
def test_what_would_be_the_same_again_is_not_tried_again(code: ErrorCode) -> None:
    assert pause_before_retry(failed(code), [attempt(1)]) is None


# Found again


def test_the_ids_of_an_attempt_follow_from_job_and_number_alone() -> None:
    first, again = attempt(1), attempt(1).model_copy(update={"id": UUID(int=99), "round": 2})
    ids = [prompt_id_of(first), creation_id_of(first), new_session_id_of(first)]
    assert ids == [prompt_id_of(again), creation_id_of(again), new_session_id_of(again)]
    assert len({*ids, prompt_id_of(attempt(2))}) == 4
