"""Profiles: how one CLI is launched, typed into and watched. Data in TOML, a user's file before the one shipped."""

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semo_agent.errors import ProfileError, UnknownProfile
from semo_agent.profiles.hooks import HookRules
from semo_agent.profiles.screen import ScreenRules
from semo_agent.terminals.base import Key

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Launch(_Section):
    """What to start: a program of its own (`argv`), or the user's shell with our marks (`integration`).

    `version_argv`: prints the program's version.
    """

    argv: list[str] = Field(default_factory=list)
    version_argv: list[str] = Field(default_factory=list)
    integration: Literal["shell"] | None = None
    env: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_one_program(self) -> "Launch":
        if bool(self.argv) == bool(self.integration):
            raise ValueError("name the program: either argv or integration")
        return self


class EvidenceRules(_Section):
    """What tells the state of the program.

    `osc133`: it marks prompt, composer, output and exit status itself. `hooks`: it runs a command at each event of its
    life, and the live screen shows when it can be typed to.
    """

    source: Literal["osc133", "hooks"]


class Typing(_Section):
    """How a prompt is typed. All times in ms. `bracketed_paste`: the program asks for it at its prompt; await that.

    `interrupt_key` stops a turn, `clear_key` empties the composer.
    """

    enter_gap_ms: Milliseconds = 50
    accept_timeout_ms: Milliseconds = 10_000
    retry_enter: bool = False
    bracketed_paste: bool = False
    interrupt_key: Key = Field(default=Key.CTRL_C, strict=False)
    clear_key: Key = Field(default=Key.CTRL_C, strict=False)


class JobRules(_Section):
    """How a job is given to the program, and what says that it is done."""

    prompt: Literal["verbatim", "briefing"] = "verbatim"
    done_by: Literal["exit_status", "nonce"] = "exit_status"


class Limits(_Section):
    """How long the program may take, ms."""

    start_timeout_ms: Milliseconds = 20_000
    cancel_timeout_ms: Milliseconds = 10_000


class Profile(_Section):
    """One CLI."""

    name: str
    description: str = ""
    launch: Launch
    evidence: EvidenceRules
    typing: Typing = Field(default_factory=Typing)
    job: JobRules = Field(default_factory=JobRules)
    limits: Limits = Field(default_factory=Limits)
    hooks: HookRules | None = None
    screen: ScreenRules | None = None

    @model_validator(mode="after")
    def _has_what_its_evidence_needs(self) -> "Profile":
        with_hooks = self.evidence.source == "hooks"
        if with_hooks and (self.hooks is None or self.screen is None):
            raise ValueError("evidence from hooks needs the sections hooks and screen")
        if not with_hooks and (self.hooks is not None or self.screen is not None):
            raise ValueError("the sections hooks and screen are for evidence from hooks")
        if with_hooks and self.job.done_by == "exit_status":
            raise ValueError("a turn that hooks tell has no exit status: job.done_by must be 'nonce'")
        return self


class Profiles:
    """The profiles that this host knows.

    user_folder: holds `NAME.toml` files that go before the shipped ones; it may be missing.
    """

    def __init__(self, user_folder: Path) -> None:
        self._user_folder = user_folder
        self._shipped_folder = Path(str(files("semo_agent.profiles")))

    def names(self) -> list[str]:
        """All names, sorted."""
        found = [*self._shipped_folder.glob("*.toml"), *self._user_folder.glob("*.toml")]
        return sorted({path.stem for path in found if _NAME.fullmatch(path.stem)})

    def read(self, name: str) -> Profile:
        """Blocking. Raises UnknownProfile, which lists the known names, and ProfileError, which names file and key."""
        # The name comes from a command: only what can't leave the folders is looked up.
        if _NAME.fullmatch(name):
            for folder in (self._user_folder, self._shipped_folder):
                if (path := folder / f"{name}.toml").is_file():
                    return read_profile(path)
        raise UnknownProfile(f"There is no profile {name!r}. Known: {', '.join(self.names())}.")


def read_profile(path: Path) -> Profile:
    """Read one file. Raises ProfileError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise ProfileError(f"The profile {path} can't be read: {err}.") from err
    except tomllib.TOMLDecodeError as err:
        raise ProfileError(f"The profile {path} is not valid TOML: {err}.") from err
    try:
        profile = Profile.model_validate(content)
    except ValidationError as err:
        raise ProfileError(f"The profile {path} is wrong at {_first_fault(err)}.") from err
    if profile.name != path.stem:
        raise ProfileError(f"The profile {path} is wrong at name: it must be {path.stem!r}, like the file.")
    return profile


def _first_fault(err: ValidationError) -> str:
    fault = err.errors()[0]
    return f"{_key(fault['loc'])}: {fault['msg']}"


def _key(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "the top level"
