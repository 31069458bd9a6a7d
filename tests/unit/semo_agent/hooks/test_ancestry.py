"""Whose hook it was."""

import pytest

from semo_agent.hooks.ancestry import Ancestor, is_own

SHELL, OWN, NESTED = (30, "sh"), (10, "claude"), (20, "claude")
STARTER = (5, "launch.py")
OTHERS = [(3, "holder"), (2, "claude")]


@pytest.mark.parametrize(
    ("ancestors", "tab_pid", "own"),
    [
        ([SHELL, OWN, *OTHERS], 10, True),
        ([OWN, *OTHERS], 10, True),
        ([SHELL, OWN, STARTER, *OTHERS], 5, True),
        ([SHELL, NESTED, OWN, *OTHERS], 10, False),
        ([SHELL, NESTED, (25, "bash"), OWN, STARTER, *OTHERS], 5, False),
        ([SHELL, OWN, *OTHERS], 99, False),
        ([SHELL, (10, "other"), *OTHERS], 10, False),
        ([], 10, False),
    ],
)
def test_only_the_program_nearest_to_the_terminal_speaks_for_its_session(
    ancestors: list[Ancestor], tab_pid: int, own: bool
) -> None:
    assert is_own(ancestors, tab_pid, "claude") is own
