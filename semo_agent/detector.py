"""What a session does, from evidence alone: marks, hooks, title and exit in; state and the facts of turns out.

Nothing here reads a terminal, a clock or a database: the same events always lead to the same sighting.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from semo_agent.evidence import Answered, ComposerSeen, DialogSeen, Evidence, Failure, HookSeen, Interrupted
from semo_agent.marks import exit_status, is_continuation, is_foreign
from semo_agent.profiles.hooks import Meaning
from semo_agent.terminals.base import Exited, ExitStatus, MarkSeen, Position, TitleChanged
from semo_office.models import SessionStatus

CONTINUATION: Final = "continuation: the shell waits for the rest of the command"
FINISHED_KEPT: Final = 16
MESSAGES_KEPT: Final = 4
"""Of the last finished turns the message is kept too; a message may be long."""


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """One turn, numbered from 1 in its session. Times in s of the agent's monotonic clock.

    `from_mark`: "C", or "D" where the program took the line and ran nothing (a syntax error, a comment, Ctrl-C); of a
    turn that a hook told the name of its event, and `output_begins` is not known. `cut_short`: the program ended during
    the turn. `message` and `failure` are the CLI's own words at the end of it.
    """

    number: int
    from_mark: str
    began: float
    output_begins: Position | None
    output_ends: Position | None = None
    exit_status: int | None = None
    ended: float | None = None
    cut_short: bool = False
    message: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The state of a session with what it rests on. `since`: s of the agent's monotonic clock.

    `composer` is where typed text began at the last prompt. `begun` and `ended` count turns; `finished` keeps the
    last few. `marks_seen` and `hooks_seen`: the ordinal of the last mark and hook; one that comes again, read a second
    time, changes nothing. `announced`: a hook has said that the program is ready; that it can be typed to, the screen.
    `program_pid` is the process whose hooks count.
    """

    status: SessionStatus = SessionStatus.CREATING
    source: str = "launch"
    reason: str | None = None
    since: float = 0.0
    composer: Position | None = None
    turn: TurnFacts | None = None
    begun: int = 0
    ended: int = 0
    finished: tuple[TurnFacts, ...] = ()
    title: str = ""
    exit: ExitStatus | None = None
    marks_seen: int = 0
    hooks_seen: int = 0
    announced: bool = False
    program_pid: int | None = None

    @property
    def asks(self) -> bool:
        return self.status is SessionStatus.WAITING_INPUT

    @property
    def over(self) -> bool:
        return self.status is SessionStatus.TERMINATED

    def finished_turn(self, number: int) -> TurnFacts | None:
        """The turn's facts once it is over; None before, and long after."""
        return next((turn for turn in self.finished if turn.number == number), None)


def observe(sighting: Sighting, event: Evidence, *, now: float, mark_id: str | None = None) -> Sighting:
    """What is known after one more event. mark_id: marks that do not carry it (as `aid`) are somebody else's."""
    match event:
        case MarkSeen() if sighting.over or 0 < event.ordinal <= sighting.marks_seen:
            return sighting
        case MarkSeen():
            rule = None if is_foreign(event, mark_id) else _RULES.get(event.kind)
            seen = rule(sighting, event, now) if rule else sighting
            return replace(seen, marks_seen=event.ordinal)
        case HookSeen() if sighting.over or event.ordinal <= sighting.hooks_seen:
            return sighting
        case HookSeen():
            seen = _HOOK_RULES[event.means](sighting, event)
            return replace(seen, hooks_seen=event.ordinal, program_pid=event.pid)
        case ComposerSeen() | DialogSeen() | Answered() | Interrupted() if not sighting.over:
            return _on_screen(sighting, event, now)
        case TitleChanged(title=title):
            return replace(sighting, title=title)
        case Exited(exit=how):
            return ended(sighting, how, describe_exit(how), now=now)
        case _:
            return sighting


def ended(sighting: Sighting, how: ExitStatus, reason: str, *, now: float) -> Sighting:
    """The program is gone; a turn that ran ended with it."""
    if sighting.over:
        return sighting
    if sighting.turn is not None:
        status = how.code if sighting.turn.exit_status is None else sighting.turn.exit_status
        sighting = replace(sighting, turn=replace(sighting.turn, exit_status=status, cut_short=True))
    closed = _close_turn(sighting, now)
    return _moved(closed, SessionStatus.TERMINATED, now, source="exit", reason=reason, exit=how)


def describe_exit(how: ExitStatus) -> str:
    """How a program ended, for a person."""
    if how.reason:
        return how.reason
    if how.signal is not None:
        return f"the program was ended by signal {how.signal}"
    return f"the program ended with exit status {how.code}"


def _prompt(sighting: Sighting, mark: MarkSeen, now: float) -> Sighting:
    """A: a prompt begins. Only a continuation says something by itself: there is no output to wait for any more."""
    return _asks(sighting, now) if is_continuation(mark) else sighting


def _composer(sighting: Sighting, mark: MarkSeen, now: float) -> Sighting:
    """B: the program waits for text. With that a turn is over, whatever it ran."""
    if is_continuation(mark):
        return _asks(sighting, now)
    at_prompt = replace(_close_turn(sighting, now), composer=mark.at)
    return _moved(at_prompt, SessionStatus.READY, now)


def _output(sighting: Sighting, mark: MarkSeen, now: float) -> Sighting:
    """C: a command runs. Several in a row, from text of several lines, are one turn."""
    turn = sighting.turn or _new_turn(sighting, mark, now)
    if turn.from_mark == "D":
        turn = replace(turn, from_mark="C", output_begins=mark.at)
    return _moved(replace(sighting, begun=turn.number, turn=turn), SessionStatus.EXECUTING, now)


def _output_end(sighting: Sighting, mark: MarkSeen, now: float) -> Sighting:
    """D: the output ends, with an exit status. The turn is over only at the next composer."""
    if sighting.turn is None and sighting.status is SessionStatus.CREATING:
        return sighting
    turn = sighting.turn or _new_turn(sighting, mark, now)
    turn = replace(turn, output_ends=mark.at, exit_status=exit_status(mark))
    return replace(sighting, begun=turn.number, turn=turn)


_RULES: Final[dict[str, Callable[[Sighting, MarkSeen, float], Sighting]]] = {
    "A": _prompt,
    "B": _composer,
    "C": _output,
    "D": _output_end,
}


def _hook_ready(sighting: Sighting, _hook: HookSeen) -> Sighting:
    """The program has started, or begins a new conversation. That it can be typed to is for the screen to say."""
    return replace(sighting, announced=True)


def _hook_accepted(sighting: Sighting, hook: HookSeen) -> Sighting:
    """A prompt was taken. Another one during a turn, queued by the program, belongs to that turn."""
    turn = sighting.turn or TurnFacts(sighting.begun + 1, from_mark=hook.name, began=hook.at, output_begins=None)
    return _moved(replace(sighting, begun=turn.number, turn=turn), SessionStatus.EXECUTING, hook.at, source="hooks")


def _hook_working(sighting: Sighting, hook: HookSeen) -> Sighting:
    """A tool that ended after its turn says nothing of the session."""
    if sighting.turn is None:
        return sighting
    return _moved(sighting, SessionStatus.EXECUTING, hook.at, source="hooks")


def _hook_asks(sighting: Sighting, hook: HookSeen) -> Sighting:
    """A notice that comes late, after its turn, asks nothing any more."""
    if sighting.turn is None and sighting.status is SessionStatus.READY:
        return sighting
    return _moved(sighting, SessionStatus.WAITING_INPUT, hook.at, source="hooks", reason=hook.question)


def _hook_ended(sighting: Sighting, hook: HookSeen) -> Sighting:
    if sighting.turn is not None:
        sighting = replace(sighting, turn=replace(sighting.turn, message=hook.message, failure=hook.failure))
    if sighting.turn is None and sighting.status is SessionStatus.CREATING:
        return sighting
    return _moved(_close_turn(sighting, hook.at), SessionStatus.READY, hook.at, source="hooks")


_HOOK_RULES: Final[dict[Meaning, Callable[[Sighting, HookSeen], Sighting]]] = {
    Meaning.READY: _hook_ready,
    Meaning.ACCEPTED: _hook_accepted,
    Meaning.WORKING: _hook_working,
    Meaning.ASKS: _hook_asks,
    Meaning.ENDED: _hook_ended,
    Meaning.FAILED: _hook_ended,
}


def _on_screen(sighting: Sighting, event: ComposerSeen | DialogSeen | Answered | Interrupted, now: float) -> Sighting:
    match event:
        case ComposerSeen(at=place) if sighting.announced and sighting.turn is None:
            return _moved(replace(sighting, composer=place), SessionStatus.READY, now, source="hooks")
        case DialogSeen(question=question) if sighting.turn is None:
            return _moved(sighting, SessionStatus.WAITING_INPUT, now, source="screen", reason=question)
        case Answered() if sighting.asks:
            after = SessionStatus.EXECUTING if sighting.announced else SessionStatus.CREATING
            return _moved(sighting, after, now, source="answer")
        case Interrupted():
            return _moved(_close_turn(sighting, now), SessionStatus.READY, now, source="screen")
        case _:
            return sighting


def _asks(sighting: Sighting, now: float) -> Sighting:
    return _moved(sighting, SessionStatus.WAITING_INPUT, now, reason=CONTINUATION)


def _new_turn(sighting: Sighting, mark: MarkSeen, now: float) -> TurnFacts:
    return TurnFacts(number=sighting.begun + 1, from_mark=mark.kind, began=now, output_begins=mark.at)


def _close_turn(sighting: Sighting, now: float) -> Sighting:
    if sighting.turn is None:
        return sighting
    finished = (*sighting.finished, replace(sighting.turn, ended=now))[-FINISHED_KEPT:]
    silent = (replace(turn, message=None) for turn in finished[:-MESSAGES_KEPT])
    finished = (*silent, *finished[-MESSAGES_KEPT:])
    return replace(sighting, turn=None, ended=sighting.ended + 1, finished=finished)


def _moved(
    sighting: Sighting,
    status: SessionStatus,
    now: float,
    *,
    source: str = "osc133",
    reason: str | None = None,
    exit: ExitStatus | None = None,  # noqa: A002 - the field's name
) -> Sighting:
    since = sighting.since if status is sighting.status else now
    return replace(sighting, status=status, source=source, reason=reason, since=since, exit=exit)
