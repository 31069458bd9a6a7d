"""`semo serve` on a machine: started, killed, and a second one that has a state folder of its own."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.machine import SETUP_S, Machine, eventually


@dataclass
class OfficeServer:
    """One server process. `state` may be of another machine that reaches the same office."""

    state: Path
    process: subprocess.Popen[bytes]

    def leads(self) -> bool:
        """Whether this process says that it leads an office now."""
        try:
            record = json.loads((self.state / "run" / "server.json").read_bytes())
        except FileNotFoundError:
            return False
        return bool(record["pid"] == self.process.pid and record["leads"])

    def await_lead(self, within: float = SETUP_S) -> None:
        eventually(self.leads, f"the server of {self.state} leads", within=within)

    def kill(self) -> None:
        """As a crash does it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SETUP_S)


@contextmanager
def serving(machine: Machine, state: Path | None = None, *, listen: str | None = None) -> Iterator[OfficeServer]:
    """A server while the block runs. `listen`: where its API is."""
    state = state or machine.state
    with (state / "server.out").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "semo_console", "serve", *(["--listen", listen] if listen else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=machine.path,
            env={**machine.environment, **_way_to_the_office(machine, state), "SEMO_STATE_DIR": str(state)},
        )
    try:
        yield OfficeServer(state, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def elsewhere(machine: Machine) -> Path:
    """The state folder of another machine whose server signs in to the same office."""
    state = machine.path / "elsewhere"
    (state / "credentials").mkdir(parents=True, mode=0o700)
    shutil.copy(machine.state / "credentials" / "server.json", state / "credentials")
    return state


def _way_to_the_office(machine: Machine, state: Path) -> dict[str, str]:
    if state == machine.state:
        return {}
    return {"SEMO_SUPABASE_URL": machine.told["url"], "SEMO_SUPABASE_KEY": machine.told["publishable_key"]}
