"""A command line made of the library, as it is on PyPI, works here unmodified."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.iterm2_server.running import RunningITerm2

_IT2 = Path(sys.executable).parent / "it2"
_DEADLINE = 40.0  # s


def it2(app: RunningITerm2, *arguments: str) -> str:
    """Run `it2` to its end; returns what it printed."""
    ended = subprocess.run(
        [_IT2, *arguments],
        env={**os.environ, **app.environment},
        capture_output=True,
        text=True,
        timeout=_DEADLINE,
        check=False,
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_it2_lists_opens_types_reads_and_closes(iterm2_app: RunningITerm2) -> None:
    first = iterm2_app.by_hand("new_tab")
    it2(iterm2_app, "tab", "new")
    sessions = [each["id"] for each in json.loads(it2(iterm2_app, "session", "list", "--json"))]
    assert sessions == iterm2_app.by_hand("sessions")

    it2(iterm2_app, "session", "run", "--session", sessions[1], "echo 한글-$((6*7))")
    deadline = time.monotonic() + _DEADLINE
    while "한글-42" not in it2(iterm2_app, "session", "read", "--session", sessions[1]):
        assert time.monotonic() < deadline

    it2(iterm2_app, "session", "close", "--session", sessions[1], "--force")
    assert iterm2_app.by_hand("sessions") == [first]
