"""What tmux runs in a new window: starts the program that a file names, with exactly its environment, and outlives it.

`python -S -m semo_agent.terminals.tmux.launch FILE`. The file is JSON, 0600, and is removed at once: neither
words nor environment of a program are seen in the words or environment of tmux. The process imports the
standard library only, to start quickly, and before the fork as little as it can, to stay small.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from typing import Final, NoReturn

STARTED: Final = b"+"
"""The first byte of the report: end of file means nothing before it."""

_QUESTION: Final = b"\x1b[5n"
"""Asks a terminal how it is, and ends whatever sequence the program died in."""
_ANSWER: Final = b"\x1b[0n"
_ANSWER_SECONDS: Final = 30.0


def main(file: str) -> NoReturn:
    # What is sent to the group is for the program alone; it starts with the default dispositions.
    _ignore_signals()
    pid = os.fork()
    if pid == 0:
        _become(file)
    signal.signal(signal.SIGHUP, lambda *_: _pass_on_hangup(pid))
    _end_like(_await_end(pid))


def _become(file: str) -> NoReturn:
    import json
    from pathlib import Path

    from semo_agent.holder.spawn import expect_utf8, replace_process, set_size

    wanted = json.loads(Path(file).read_bytes())
    Path(file).unlink()
    report = _open_report(wanted["report"])
    os.write(report, STARTED)
    # tmux gives a window its size only after this process was started.
    set_size(0, *wanted["size"])
    expect_utf8(0)
    env = {"COLORTERM": "truecolor", **wanted["env"], "TERM": os.environ["TERM"]}
    replace_process(wanted["argv"], wanted["cwd"], env, report)


def _open_report(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        # Nobody waits for it: the agent has gone, and the next one takes the program as it is.
        return os.open(os.devnull, os.O_WRONLY)


def _ignore_signals() -> None:
    for number in set(signal.Signals) - {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def _pass_on_hangup(pid: int) -> None:
    """A terminal that hangs up tells the leader of its session only, which is this process."""
    if not os.isatty(0):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)


def _await_end(pid: int) -> int:
    """Wait for the program and for its last output to be read; its wait status.

    tmux reads no more once its child has ended, though the kernel may not have shown it everything yet. What
    was printed before a question has been read when the answer comes.
    """
    import termios

    _, status = os.waitpid(pid, 0)
    with suppress(OSError, EOFError, termios.error):
        # A shell takes the foreground with it.
        os.tcsetpgrp(0, os.getpgrp())
        _expect_answer()
        _ask(time.monotonic() + _ANSWER_SECONDS)
    return status


def _expect_answer() -> None:
    import termios

    attributes = termios.tcgetattr(0)
    attributes[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    termios.tcflush(0, termios.TCIFLUSH)


def _ask(deadline: float) -> None:
    """Ask and wait for the answer. A terminal that is stopped, since its output is not read, takes no question."""
    from select import select

    question, answer = _QUESTION, b""
    while _ANSWER not in answer and (seconds := deadline - time.monotonic()) > 0:
        readable, writable, _ = select([0], [0] if question else [], [], seconds)
        if writable:
            question = question[os.write(0, question) :]
        if readable:
            answer += (data := os.read(0, 1024))
            if not data:
                raise EOFError


def _end_like(status: int) -> NoReturn:
    """End with the same exit status, or by the same signal."""
    if os.WIFSIGNALED(status):
        import resource

        # The program has left its core already, if it leaves one.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    main(sys.argv[1])
