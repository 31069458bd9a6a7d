"""What an agent CLI is told of its job: who it is, what to do, what was done before, and how to say that it is done."""

from dataclasses import dataclass
from typing import Final

from semo_office.errors import CommandError, ErrorCode
from semo_office.models import PROMPT_BYTES_MAX, AgentPersona, Job, OfficeAgent

MARKER: Final = "SEMO-DONE-"
RESULT_BYTES: Final = 16_000
RESULT_BYTES_LEAST: Final = 200

_DEFUSED: Final = "SEMO-DONE[quoted]-"
_SHORTENED: Final = "[… shortened; this is the end of it]\n"
_LEFT_OUT: Final = "[left out: there is no room for it]"
_NO_RESULT: Final = "[it left nothing to read]"


@dataclass(frozen=True)
class Report:
    """What another job, or an earlier try of this one, left behind. `heading`: a line; `text`: may be long."""

    heading: str
    text: str


@dataclass(frozen=True)
class Background:
    """All that a job's text does not say itself.

    `nonce`: repeated by the CLI when the job is done, None: its exit status says so. `note`: what a person said of the
    last try.
    """

    nonce: str | None = None
    persona: AgentPersona | None = None
    branch: str | None = None
    results: tuple[Report, ...] = ()
    last_try: Report | None = None
    note: str | None = None


def write_briefing(job: Job, agent: OfficeAgent | None, background: Background) -> str:
    """The prompt, at most 262 144 bytes: what others left behind is shortened for it, the job's own text never.

    Nothing in it but its last lines has the marker: job, persona and results are data, and theirs is defused.
    Raises CommandError(INVALID_PAYLOAD): the job's own text is too long.
    """
    reports = [*background.results, *([background.last_try] if background.last_try else [])]
    fixed = _text(job, agent, background, [""] * len(reports))
    room = PROMPT_BYTES_MAX - _size(fixed) - len(reports) * len("\n\n")
    if room < len(reports) * len(_LEFT_OUT.encode()):
        raise CommandError(
            ErrorCode.INVALID_PAYLOAD,
            f"The job's text has {_size(job.description)} bytes; with what goes around it that is more than "
            f"{PROMPT_BYTES_MAX}, the most that can be sent at once. Put it into a file and name the file.",
        )
    share = min(RESULT_BYTES, room // len(reports)) if reports else 0
    return _text(job, agent, background, [_shortened(_defused(report.text), share) for report in reports])


def _text(job: Job, agent: OfficeAgent | None, background: Background, reports: list[str]) -> str:
    results = list(zip(background.results, reports, strict=False))
    parts = [
        *_person(job, agent, background.persona),
        f"# Job: {_line(job.title)}",
        _defused(job.description).strip("\n"),
        f"Branch: {_line(background.branch)}" if background.branch else "",
        "# What was done before" if results else "",
        *(part for report, text in results for part in (f"## {_line(report.heading)}", text)),
        *_last_try(background, reports[len(results) :]),
        *_ending(background.nonce),
    ]
    return "\n\n".join(part for part in parts if part)


def _person(job: Job, agent: OfficeAgent | None, persona: AgentPersona | None) -> list[str]:
    name = f"You are {_line(agent.name)}. " if agent else ""
    parts = [f"{name}You work as {_line(job.role)} in a team of agents; this is one job of yours."]
    if persona is None:
        return parts
    parts.append(_defused(persona.persona_prompt).strip())
    if persona.scope_patterns:
        patterns = "\n".join(f"- {_line(pattern)}" for pattern in persona.scope_patterns)
        parts.append(f"Your part of the repository; leave the rest to others:\n{patterns}")
    if persona.core_skills:
        parts.append(f"Your skills: {', '.join(map(_line, persona.core_skills))}.")
    return parts


def _last_try(background: Background, texts: list[str]) -> list[str]:
    note = f"A person who looked at it says: {_defused(background.note)}" if background.note else ""
    if background.last_try is None:
        return [note]
    return ["# The try before this one", _line(background.last_try.heading), *texts, note]


def _ending(nonce: str | None) -> list[str]:
    """The marker is in the middle of a line: an echo of this text does not end with it."""
    if nonce is None:
        return []
    return [
        "# When you are done",
        "When everything that the job asks for is done, end your last message with a line that holds nothing but "
        f"{MARKER}{nonce} and stop. As long as something is missing, leave that line out and say what is missing.",
    ]


def _line(text: str) -> str:
    return _defused(" ".join(text.split()))


def _defused(text: str) -> str:
    return text.replace(MARKER, _DEFUSED)


def _shortened(text: str, limit: int) -> str:
    """Its end, in at most `limit` bytes."""
    text = text.strip()
    if not text:
        return _NO_RESULT if limit > len(_NO_RESULT) else ""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    left = limit - _size(_SHORTENED)
    if left < RESULT_BYTES_LEAST:
        return _LEFT_OUT
    # A marker that the cut would leave whole was defused before.
    return _SHORTENED + encoded[-left:].decode(errors="ignore")


def _size(text: str) -> int:
    return len(text.encode())
