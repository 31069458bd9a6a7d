"""What an earlier hub may have left behind: a running postmaster, or only its pid file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from semo_hub.errors import PostgresError

_PATIENCE = {signal.SIGINT: 10.0, signal.SIGQUIT: 5.0, signal.SIGKILL: 5.0}  # s after each signal
_PAUSE = 0.01  # s
_NO_PROCESS = 2**31 - 1  # above every system's largest pid

log = structlog.get_logger("semo_hub.postgres")


class Postmaster:
    """The postmaster that `postmaster.pid` in a data folder names; only call while the hub's lock is held."""

    def __init__(
        self,
        data: Path,
        socket_lock: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._data = data
        self._pid_files = (data / "postmaster.pid", socket_lock)
        self._monotonic = monotonic
        self._sleep = sleep

    def clear_left_over(self) -> None:
        """Stop a left-over server and make sure that no stale pid file blocks the next one.

        Blocks for up to 20 s; raises PostgresError when a left-over server can't be stopped.
        """
        pid = _read_pid(self._pid_files[0])
        if pid is not None and self._is_ours(pid):
            log.warning("stopping a postgres that an earlier hub left behind", pid=pid)
            self._stop(pid)
        for path in self._pid_files:
            self._disown(path)

    def _stop(self, pid: int) -> None:
        for signal_number, patience in _PATIENCE.items():
            _send(pid, signal_number)
            deadline = self._monotonic() + patience
            while self._monotonic() < deadline:
                if not self._is_ours(pid):
                    return
                self._sleep(_PAUSE)
        raise PostgresError(f"the PostgreSQL of an earlier hub (process {pid}) does not stop: stop it and start again.")

    def _disown(self, path: Path) -> None:
        """PostgreSQL would believe a stranger who was given the same pid since then.

        The pid alone is replaced: the file also names the shared memory by which PostgreSQL recognises
        children of a killed postmaster, and that check must stay.
        """
        pid = _read_pid(path)
        if pid is None or not _is_alive(pid) or self._is_ours(pid):
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(f"{_NO_PROCESS}\n" + "".join(lines[1:]), encoding="utf-8")

    def _is_ours(self, pid: int) -> bool:
        """Whether `pid` is a living postmaster on our data."""
        if Path("/proc/self/cwd").exists():
            try:
                return Path(f"/proc/{pid}/cwd").resolve(strict=True) == self._data.resolve()
            except OSError:
                return False
        listing = subprocess.run(
            ["/bin/ps", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        return "postgres" in listing.stdout and str(self._data) in listing.stdout


def _read_pid(path: Path) -> int | None:
    try:
        return abs(int(path.read_text(encoding="utf-8").split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _send(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        log.info("the left-over postgres is gone already", pid=pid)
