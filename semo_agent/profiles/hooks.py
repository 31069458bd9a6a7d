"""What a profile says of a CLI's lifecycle hooks: how they are attached, and what each of them means."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FailureKind = Literal["rate_limit", "auth", "api_error", "other"]


class Meaning(StrEnum):
    """What an event of the program says.

    `ready`: it has started, or begun a new conversation. `accepted`: it took a prompt. `working`: it goes on, after a
    question too. `asks`: it waits for an answer. `ended`, `failed`: the turn is over.
    """

    READY = "ready"
    ACCEPTED = "accepted"
    WORKING = "working"
    ASKS = "asks"
    ENDED = "ended"
    FAILED = "failed"


class HookSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class HookEvent(HookSection):
    """One event of the CLI. `matcher`: the CLI's own filter. `unless`: a key that, where set, makes it `working`."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    means: Meaning = Field(strict=False)
    matcher: str | None = None
    unless: str | None = None


class HookRules(HookSection):
    """How hooks are attached to one launch, and where in their input the facts are.

    `settings_argument`: the option that takes a file of settings. `process`: the file name of the program that runs
    hooks, where it is not the one that is launched. The keys are tried in order, `a.b` is `b` inside `a`.
    `failures`: the CLI's own names of what made a turn fail.
    """

    settings_argument: str = Field(min_length=1)
    process: str | None = None
    events: list[HookEvent]
    question: list[str] = Field(default_factory=list)
    last_message: list[str] = Field(default_factory=list)
    failure: list[str] = Field(default_factory=list)
    failure_message: list[str] = Field(default_factory=list)
    failures: dict[str, FailureKind] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tells_turns(self) -> "HookRules":
        known = {event.means for event in self.events}
        missing = [needed for needed in (Meaning.READY, Meaning.ACCEPTED, Meaning.ENDED) if needed not in known]
        if missing:
            raise ValueError(f"no event means {missing[0]}: without it the state of the program can't be told")
        return self

    def event(self, name: str, means: Meaning) -> HookEvent | None:
        """The rule that such an event was attached by; None: the profile has changed since."""
        return next((event for event in self.events if (event.name, event.means) == (name, means)), None)
