"""`semo agent install`: the agent belongs to the desktop session, and `semo up` joins it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.machine import ROOT, Machine, eventually, new_machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine whose systemd is a program of ours."""
    with new_machine() as machine:
        systemctl = machine.path / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/programs/systemctl.py "$@"\n')
        systemctl.chmod(0o700)
        machine.variables["PATH"] = f"{systemctl.parent}:{os.environ['PATH']}"
        yield machine


def test_up_joins_an_installed_agent_and_starts_none_of_its_own(machine: Machine) -> None:
    assert machine.semo("agent", "install", "--terminal", "pty").code == 0
    machine.up()
    agent = machine.pid_of("agent")
    assert "--installed" in Path(f"/proc/{agent}/cmdline").read_text().split("\0")
    assert machine.semo("send", "--wait", "echo 안녕").out == "안녕\n"
    assert machine.semo("down").code == 0
    eventually(lambda: not Path(f"/proc/{agent}/stat").exists(), "the agent has ended")
    machine.up()
    assert machine.pid_of("agent") != agent
    assert "안녕" in machine.semo("agent", "logs").out or machine.semo("agent", "logs").code == 0
    assert machine.semo("agent", "uninstall").code == 0
    eventually(lambda: machine.semo("status", "--json").json["terminal"] is None, "no agent runs")
