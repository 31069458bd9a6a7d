"""What happens in sessions, as it happens: the live output of terminals, changes of state, results of commands."""

from semo_office.events.payloads import (
    CommandResultEvent,
    LastLine,
    OutputEvent,
    SessionOutput,
    SessionStatusEvent,
    StreamingEvent,
    WatchEvent,
)
from semo_office.events.realtime import SessionEvents, SessionRealtimeEvents
from semo_office.events.view import Applied, OutputView
from semo_office.events.watch import OutputWatch

__all__ = [
    "Applied",
    "CommandResultEvent",
    "LastLine",
    "OutputEvent",
    "OutputView",
    "OutputWatch",
    "SessionEvents",
    "SessionOutput",
    "SessionRealtimeEvents",
    "SessionStatusEvent",
    "StreamingEvent",
    "WatchEvent",
]
