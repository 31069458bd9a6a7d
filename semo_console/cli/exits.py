"""How the `semo` command ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    WAITING_INPUT = 3
    SUPERSEDED = 3
    NOT_FINISHED = 4
    PROMPT_FAILED = 5
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = """\b
Exit codes:
  0    it was done
  1    it failed; standard error says why and what to do
  2    the command line can't be understood
  3    the session waits for input (send --wait); another agent took over (agent)
  4    not finished within --wait; the prompt goes on
  5    the prompt failed on its way; --json has the error code
  130  interrupted
  143  terminated
"""
