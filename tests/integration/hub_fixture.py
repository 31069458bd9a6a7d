"""A real hub in a process of its own, for every test that needs one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from semo_hub.auth import Authority, Keys
from semo_hub.postgres import SUPERUSER, Postgres

ROOT = Path(__file__).parent.parent.parent
START_DEADLINE = 30.0  # s
STOP_DEADLINE = 10.0  # s


@dataclass
class RunningHub:
    """A hub that serves, and what a test may know about it."""

    process: subprocess.Popen[bytes]
    state_dir: Path
    url: str
    keys: Keys

    @property
    def superuser_conninfo(self) -> str:
        return Postgres(self.state_dir / "postgres").conninfo(SUPERUSER)

    @property
    def log(self) -> str:
        return (self.state_dir / "hub.log").read_text(encoding="utf-8")

    @property
    def postgres_pid(self) -> int:
        return int((self.state_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])

    def token_for(self, user_id: str, *, ttl: float = 3600.0, role: str = "authenticated") -> str:
        """A token as the hub mints it, good for `ttl` seconds."""
        return Authority(self.keys, f"{self.url}/auth/v1").mint(sub=user_id, ttl=ttl, role=role)

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_DEADLINE)


def launch(state_dir: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start `python -m semo_hub`; what it says goes to `hub.log` in the state folder."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "hub.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "semo_hub", "--state-dir", str(state_dir), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def start_hub(state_dir: Path, sql_dir: Path | None = None, *, port: int = 0) -> RunningHub:
    """Start a hub and return when it serves."""
    options = ["--port", str(port)]
    if sql_dir is not None:
        options += ["--sql-dir", str(sql_dir)]
    process = launch(state_dir, *options)
    announced = state_dir / "run" / "hub.json"
    deadline = time.monotonic() + START_DEADLINE
    while not (announced.exists() and json.loads(announced.read_text())["pid"] == process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"the hub did not start: {(state_dir / 'hub.log').read_text()}")
        time.sleep(0.01)
    url = json.loads(announced.read_text())["url"]
    return RunningHub(process, state_dir, url, Keys.load(state_dir / "hub" / "keys.json"))


def end_hub(hub: RunningHub) -> None:
    """Stop a hub at the end of a test, whatever state that left it in."""
    if hub.process.poll() is None:
        try:
            hub.stop()
        except subprocess.TimeoutExpired:
            hub.process.kill()
            hub.process.wait()
            raise


@asynccontextmanager
async def running_hub(state_dir: Path, sql_dir: Path | None = None) -> AsyncIterator[RunningHub]:
    """A hub on `state_dir` while the block runs; `sql_dir` instead of SEMO's own SQL files."""
    hub = await asyncio.to_thread(start_hub, state_dir, sql_dir)
    try:
        yield hub
    finally:
        await asyncio.to_thread(end_hub, hub)
