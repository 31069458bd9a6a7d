"""A machine with iTerm2 on its desktop: in its place the server that speaks its protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.acceptance.machine import Machine, new_machine
from tests.iterm2_server.running import RunningITerm2


@dataclass(frozen=True)
class Mac:
    """The machine, whose sessions are tabs, and its iTerm2."""

    machine: Machine
    iterm2: RunningITerm2

    def tabs(self) -> list[str]:
        """The sessions of iTerm2 that are SEMO's."""
        return [session for session in self.iterm2.by_hand("sessions") if self.tag(session)]

    def tag(self, session: str) -> str:
        return str(self.iterm2.by_hand("look", session=session)["variables"].get("user.semo", ""))

    def shown(self, session: str) -> str:
        return "\n".join(row.rstrip() for row in self.iterm2.by_hand("look", session=session)["screen"])


@contextmanager
def new_mac() -> Iterator[Mac]:
    """One on which only iTerm2 runs yet."""
    with RunningITerm2.start() as iterm2, new_machine() as machine:
        machine.terminal = "iterm2"
        machine.variables |= iterm2.environment
        yield Mac(machine, iterm2)
