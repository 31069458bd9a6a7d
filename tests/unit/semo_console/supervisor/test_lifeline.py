import os
import subprocess
import sys

import pytest

from semo_console.errors import UnreadableInput
from semo_console.supervisor.lifeline import hold_lifeline

CHILD = """
import os, signal, subprocess, sys
from semo_console.supervisor.lifeline import hold_lifeline
fd = int(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: os._exit(42))
hold_lifeline(fd)
look = [sys.executable, "-c", f"import os; os.fstat({fd})"]
print(subprocess.call(look, close_fds=False, stderr=subprocess.DEVNULL) == 0, flush=True)
signal.pause()
"""


def test_the_end_of_the_supervisor_is_a_sigterm_and_programs_inherit_nothing_of_it() -> None:
    reading, writing = os.pipe()
    child = [sys.executable, "-c", CHILD, str(reading)]
    with subprocess.Popen(child, pass_fds=[reading], stdout=subprocess.PIPE, text=True) as process:
        os.close(reading)
        assert process.stdout
        assert process.stdout.readline() == "False\n"
        assert process.poll() is None
        os.close(writing)
        assert process.wait(20) == 42


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnreadableInput, match="--lifeline"):
        hold_lifeline(1_000_000)
