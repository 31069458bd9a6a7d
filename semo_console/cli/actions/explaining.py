"""`semo why`: what the state of a session rests on."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import STATUS_WORDS, describe_session, print_json, print_table, say
from semo_console.cli.exits import ExitCode
from semo_office.locations import StateFolder
from semo_office.models import CommandEvent, SessionInfo

SOURCES: dict[str, str] = {
    "osc133": "a mark that the program sent (OSC 133)",
    "hooks": "an event that the program reported by a hook",
    "screen": "what the live screen shows, by the rules of its profile",
    "answer": "the answer that was typed",
    "exit": "the end of the program",
    "launch": "its start",
    "adoption": "what an agent found when it started",
    "request": "what was asked for; the agent has not said anything yet",
}


def explain(state_dir: Path | None, office: str | None, chosen: str, *, as_json: bool) -> ExitCode:
    """Print it. Raises UnclearTarget, OfficeError."""
    session, events = at_desk(StateFolder.find(state_dir), lambda desk: _look(desk, office, chosen))
    if as_json:
        turn: list[JsonValue] = [event.model_dump(mode="json") for event in events]
        print_json({**session.model_dump(mode="json"), "turn": turn})
    else:
        say(describe_session(session))
        print_table(list(facts_of(session, events, datetime.now(UTC))))
    return ExitCode.OK


async def _look(desk: OperatorDesk, named: str | None, chosen: str) -> tuple[SessionInfo, Sequence[CommandEvent]]:
    office = await desk.find_office(named)
    sessions = await desk.sessions.get_sessions_by_office(office.id, with_ended=True)
    session = choose_session(sessions, chosen=chosen)
    turn = session.active_turn_command_id
    return session, await desk.commands.events(turn) if turn else []


def facts_of(session: SessionInfo, events: Sequence[CommandEvent], now: datetime) -> Iterator[tuple[str, str]]:
    """Names and values, for a person. events: of the turn that runs."""
    age = max((now - session.status_as_of).total_seconds(), 0)
    yield "state", STATUS_WORDS[session.status]
    yield "since", f"{session.status_as_of:%Y-%m-%d %H:%M:%S} UTC, {age:.0f} s ago"
    yield "told by", SOURCES.get(session.status_source, session.status_source)
    yield "certain", "yes" if session.confidence == "high" else "no"
    if session.reason:
        yield "reason", session.reason
    for event in events:
        evidence = " ".join(f"{key}={value}" for key, value in event.evidence.items())
        yield event.stage, f"{event.at:%H:%M:%S} by the {event.actor} {evidence}".rstrip()
