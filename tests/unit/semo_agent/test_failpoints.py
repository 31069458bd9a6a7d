"""Failpoints act once, and only where a test armed them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semo_agent.failpoints import VARIABLE, Failpoints

PROGRAM = """
import os
from semo_agent.failpoints import Failpoints
points = Failpoints.named_by(os.environ)
points.reach("after_claim")
print("alive", flush=True)
points.reach("after_paste")
print("still alive", flush=True)
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={VARIABLE: str(folder), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_is_killed_at_the_armed_point_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "after_paste").write_text("kill")
    first, second = run(tmp_path), run(tmp_path)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "alive\n")
    assert (second.returncode, second.stdout) == (0, "alive\nstill alive\n")
    assert [path.name for path in tmp_path.iterdir()] == ["after_paste.reached"]


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
def test_without_the_variable_no_point_is_armed(environment: dict[str, str]) -> None:
    points = Failpoints.named_by(environment)
    assert not points.is_armed("after_claim")
    points.reach("after_claim")
