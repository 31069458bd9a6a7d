"""The server as tests use it: started in a home of its own, and handled as a person would."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COOKIE = "good"
_COMMAND = (sys.executable, "-m", "tests.iterm2_server")
_DEADLINE = 30.0  # s


class RunningITerm2:
    """A process of `tests.iterm2_server`. It dies with the one that started it, and its programs with it."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    @contextmanager
    def start(cls, *options: str) -> "Iterator[RunningITerm2]":
        """Run it in a new home with a short path; options: of the command line."""
        running = cls(Path(tempfile.mkdtemp(prefix="it2-", dir="/tmp")).resolve(), *options)
        try:
            running.launch()
            yield running
        finally:
            running.stop()
            shutil.rmtree(running.home, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {"HOME": str(self.home), "ITERM2_COOKIE": COOKIE}

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """For as long as a client connects, the environment of this process leads it here."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def launch(self) -> None:
        """Start the process; returns when it listens."""
        self._process = subprocess.Popen(
            [*_COMMAND, "--leash", "--home", str(self.home), "--cookie", COOKIE, *self._options],
            cwd=ROOT,
            env={**os.environ, "SHELL": "/bin/sh"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready, "the iTerm2 server did not start; its standard error says why"

    def stop(self) -> None:
        """Quit."""
        if self._process is None:
            return
        self._process.terminate()
        self._end(self._process)

    def kill(self) -> None:
        """Crash; everything that ran in it is gone."""
        assert self._process is not None
        self._process.kill()
        self._end(self._process)

    def by_hand(self, deed: str, **arguments: Any) -> Any:
        """Do one of the deeds of `tests.iterm2_server.by_hand.ByHand`. Raises AssertionError when it can't be done."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_DEADLINE)
            connection.connect(str(self.home / "by-hand"))
            connection.sendall(json.dumps({"deed": deed, **arguments}).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
        assert "error" not in answer, answer["error"]
        return answer["done"]

    def _end(self, process: subprocess.Popen[str]) -> None:
        try:
            process.wait(_DEADLINE)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None
