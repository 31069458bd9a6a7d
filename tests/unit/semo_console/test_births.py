import os
import subprocess
import sys

from semo_console.births import _ask_ps, birth_of


def test_a_living_process_keeps_its_birth() -> None:
    assert birth_of(os.getpid()) is not None
    assert birth_of(os.getpid()) == birth_of(os.getpid())


def test_an_unreaped_process_is_no_longer_there() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert birth_of(process.pid) is None
    assert birth_of(process.pid) is None


def test_a_process_whose_name_holds_spaces_and_parentheses_is_read(tmp_path: object) -> None:
    script = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) Z (b', 0, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        birth = birth_of(process.pid)
    assert birth is not None
    assert birth.isdecimal()


def test_without_proc_the_same_is_asked_of_ps() -> None:
    assert _ask_ps(os.getpid()) == _ask_ps(os.getpid()) is not None
    assert _ask_ps(2**22 + 1) is None
