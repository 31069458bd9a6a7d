"""Personas as files: Markdown that says how somebody works, with a name, scope and skills before it where wanted."""

import tomllib
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from semo_office.errors import CommandError, ErrorCode

PERSONA_BYTES_MAX: Final = 65_536
_FENCE: Final = "+++"


class PersonaText(BaseModel):
    """How somebody works, in their own words: `prompt`; `scope`: patterns of paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    prompt: str
    scope: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        return self.model_dump(mode="json")


def read_persona(content: bytes, source: str, *, name: str) -> PersonaText:
    """A persona of a file. `source`: the file's name, for the sentence; `name`: where the file gives none.

    The file may begin with TOML between two lines `+++`: name, scope, skills. Raises CommandError(INVALID_PAYLOAD).
    """
    if len(content) > PERSONA_BYTES_MAX:
        raise _refusal(source, f"it has more than {PERSONA_BYTES_MAX} bytes, the most that a persona may have.")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as err:
        raise _refusal(source, f"it is not UTF-8 text (byte {err.start}). Convert it first.") from err
    if "\x00" in text:
        raise _refusal(source, "it has a NUL byte; a persona is text.")
    head, prompt = _parted(text, source)
    if "prompt" in head:
        raise _refusal(source, "there is no key 'prompt'; the text after the second +++ is the prompt.")
    if not prompt.strip():
        raise _refusal(source, "it says nothing; write how this role works.")
    return _checked({"name": name, **head, "prompt": prompt.strip()}, source)


def _parted(text: str, source: str) -> tuple[dict[str, JsonValue], str]:
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        return {}, text
    ends = [number for number, line in enumerate(lines) if number and line.rstrip() == _FENCE]
    if not ends:
        raise _refusal(source, "the second line +++ is missing.")
    try:
        head = tomllib.loads("\n".join(lines[1 : ends[0]]))
    except tomllib.TOMLDecodeError as err:
        raise _refusal(source, f"between the lines +++ is TOML: {str(err).rstrip('.')}.") from err
    return head, "\n".join(lines[ends[0] + 1 :])


def _checked(fields: dict[str, JsonValue], source: str) -> PersonaText:
    try:
        return PersonaText.model_validate(fields)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _refusal(source, f"there is no key {key!r}; a persona has name, scope and skills.") from err
        if first["type"] == "tuple_type":
            raise _refusal(source, f"{key} is a list, such as ['src/**'].") from err
        raise _refusal(source, f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}.") from err


def _refusal(source: str, sentence: str) -> CommandError:
    return CommandError(ErrorCode.INVALID_PAYLOAD, f"{source} can't be a persona: {sentence}")
