"""When a process was born, in the system's own words: a pid alone may by now be another program's."""

import subprocess
from pathlib import Path

_PROC = Path("/proc")
_STATE, _START_TIME = 0, 19  # fields of /proc/PID/stat after the program's name
_PS_DEADLINE = 5.0  # s


def birth_of(pid: int) -> str | None:
    """A mark that no other process with this pid has; None when there is none, or only its unreaped rest."""
    return _read_proc(pid) if (_PROC / "self/stat").exists() else _ask_ps(pid)


def _read_proc(pid: int) -> str | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in ("Z", "X") else fields[_START_TIME]


def _ask_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=_PS_DEADLINE,
        check=False,
    )
    state, _, start = answer.stdout.strip().partition(" ")
    return start.strip() if start and not state.startswith("Z") else None
