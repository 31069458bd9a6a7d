"""A command line made of the library, as it is on PyPI, works here unmodified."""

import json
import os
import subprocess
import sys
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
    it2(iterm2_app, "tab", "new")
    session = json.loads(it2(iterm2_app, "session", "list", "--json"))[-1]["id"]

    it2(iterm2_app, "session", "run", "--session", session, "echo 한글-$((6*7))")
    assert "한글-42" in it2(iterm2_app, "session", "read", "--session", session)

    it2(iterm2_app, "session", "close", "--session", session, "--force")
    left = [each["id"] for each in json.loads(it2(iterm2_app, "session", "list", "--json"))]
    assert session not in left
    assert left
