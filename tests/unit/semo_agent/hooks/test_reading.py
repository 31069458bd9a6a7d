"""What an event says, by the keys of a profile."""

import pytest
from pydantic import JsonValue

from semo_agent.evidence import Failure
from semo_agent.hooks.reading import MESSAGE_BYTES_MAX, QUESTION_LONGEST, read_event
from semo_agent.hooks.spool import SpooledEvent
from semo_agent.profiles.hooks import HookEvent, HookRules, Meaning

RULES = HookRules(
    settings_argument="--settings",
    events=[
        HookEvent(name="Start", means=Meaning.READY),
        HookEvent(name="Submit", means=Meaning.ACCEPTED),
        HookEvent(name="Stop", means=Meaning.ENDED, unless="background_tasks"),
    ],
    question=["message", "tool_input.command"],
    last_message=["last"],
    failure=["error"],
    failure_message=["details"],
    failures={"rate_limited": "rate_limit"},
)


def spooled(name: str, means: Meaning, fields: dict[str, JsonValue]) -> SpooledEvent:
    return SpooledEvent(means=means, name=name, ancestors=(), input=fields)


def test_a_question_is_one_line_of_the_first_key_that_has_a_text() -> None:
    fields: dict[str, JsonValue] = {"message": " \n", "tool_input": {"command": "rm -rf\n\x1b[31m 가나다  "}}
    assert read_event(spooled("Ask", Meaning.ASKS, fields), RULES, ordinal=1, pid=2).question == "rm -rf [31m 가나다"


def test_a_long_question_is_cut() -> None:
    question = read_event(spooled("Ask", Meaning.ASKS, {"message": "각" * 1000}), RULES, ordinal=1, pid=2).question
    assert question == "각" * (QUESTION_LONGEST - 1) + "…"


def test_a_question_without_a_text_names_its_event() -> None:
    assert (
        read_event(spooled("Ask", Meaning.ASKS, {}), RULES, ordinal=1, pid=2).question == "it waits for an answer (Ask)"
    )


def test_of_a_long_last_message_the_end_is_kept() -> None:
    event = spooled("Stop", Meaning.ENDED, {"last": "가나다\n" * 20_000 + "SEMO-DONE-1"})
    message = read_event(event, RULES, ordinal=1, pid=2).message
    assert message is not None
    assert message.endswith("SEMO-DONE-1")
    assert len(message.encode()) <= MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"error": "rate_limited", "details": "Later."}, Failure("rate_limit", "Later.")),
        ({"error": "unheard_of"}, Failure("other", "unheard_of")),
        ({}, Failure("other", "the CLI did not say why")),
        ({"error": 7, "details": ["x"]}, Failure("other", "the CLI did not say why")),
    ],
)
def test_a_failure_has_a_kind_and_a_sentence(fields: dict[str, JsonValue], failure: Failure) -> None:
    assert read_event(spooled("StopFailure", Meaning.FAILED, fields), RULES, ordinal=1, pid=2).failure == failure


@pytest.mark.parametrize(
    ("tasks", "means"), [([], Meaning.ENDED), (None, Meaning.ENDED), ([{"id": "1"}], Meaning.WORKING)]
)
def test_an_end_with_what_its_rule_excludes_goes_on_working(tasks: JsonValue, means: Meaning) -> None:
    assert (
        read_event(spooled("Stop", Meaning.ENDED, {"background_tasks": tasks}), RULES, ordinal=1, pid=2).means is means
    )
