"""From an event as it was spooled to what it says of the session."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from semo_agent.evidence import Failure, HookSeen
from semo_agent.hooks.spool import SpooledEvent
from semo_agent.output import keep_tail
from semo_agent.profiles.hooks import HookRules, Meaning

QUESTION_LONGEST: Final = 500
MESSAGE_BYTES_MAX: Final = 64 * 1024
FAILURE_LONGEST: Final = 2000

Fields = dict[str, JsonValue]


def read_event(event: SpooledEvent, rules: HookRules, *, ordinal: int, pid: int) -> HookSeen:
    """What the event says by the rules of its profile. pid: the CLI that it comes from."""
    means = _meaning(event, rules)
    message = first_text(event.input, rules.last_message)
    return HookSeen(
        name=event.name,
        means=means,
        ordinal=ordinal,
        pid=pid,
        question=_question(event, rules) if means is Meaning.ASKS else None,
        message=keep_tail(message, MESSAGE_BYTES_MAX)[0] if message else None,
        failure=_failure(event, rules) if means is Meaning.FAILED else None,
    )


def first_text(fields: Fields, keys: Sequence[str]) -> str | None:
    """The first of these keys with a text that is not blank; `a.b` is `b` inside `a`."""
    found = (_value(fields, key) for key in keys)
    return next((text for text in found if isinstance(text, str) and text.strip()), None)


def _meaning(event: SpooledEvent, rules: HookRules) -> Meaning:
    rule = rules.event(event.name, event.means)
    if rule is not None and rule.unless is not None and _value(event.input, rule.unless):
        return Meaning.WORKING
    return event.means


def _question(event: SpooledEvent, rules: HookRules) -> str:
    question = first_text(event.input, rules.question) or f"it waits for an answer ({event.name})"
    return one_line(question, QUESTION_LONGEST)


def _failure(event: SpooledEvent, rules: HookRules) -> Failure:
    named = first_text(event.input, rules.failure) or ""
    message = first_text(event.input, rules.failure_message) or named or "the CLI did not say why"
    return Failure(rules.failures.get(named, "other"), one_line(message, FAILURE_LONGEST))


def one_line(text: str, longest: int) -> str:
    """The text without line ends and control characters, of at most so many characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _value(fields: Fields, key: str) -> JsonValue:
    value: JsonValue = fields
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
