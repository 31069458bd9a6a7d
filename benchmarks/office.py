"""A real office of its own for a measurement: `semo up` in an empty folder, ended afterwards."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

SEMO = str(Path(sys.executable).parent / "semo")


@dataclass(frozen=True)
class BenchOffice:
    """What `semo up --headless --json` said, and the environment to run `semo` in."""

    office_id: UUID
    session_id: UUID
    state_dir: Path
    environment: dict[str, str]


@contextmanager
def bench_office(terminal: str = "pty", variables: Mapping[str, str] | None = None) -> Iterator[BenchOffice]:
    """terminal: as `semo up --terminal` takes it. variables: more of the environment."""
    # A short path: sockets below it must fit into 108 bytes.
    home = Path(tempfile.mkdtemp(prefix="semo-bench-"))
    environment = {**os.environ, "HOME": str(home), "SEMO_STATE_DIR": str(home / "state"), **(variables or {})}
    try:
        up = ("up", "--headless", "--json", "--port", "0", "--terminal", terminal)
        done = _semo(*up, environment=environment, folder=home)
        said = json.loads(done)
        yield BenchOffice(UUID(said["office_id"]), UUID(said["session_id"]), Path(said["state_dir"]), environment)
    finally:
        _semo("down", "--end-sessions", environment=environment, folder=home)
        shutil.rmtree(home)


def _semo(*arguments: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        [SEMO, *arguments], env=environment, cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout
