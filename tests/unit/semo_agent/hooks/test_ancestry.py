"""Whose hook it was."""

import pytest

from semo_agent.hooks.ancestry import Ancestor, own_program

SHELL, OWN, NESTED = (30, "sh"), (10, "claude"), (20, "claude")
STARTER, LAUNCHER = (5, "launch.py"), (6, "claude")
OTHERS = [(3, "holder"), (2, "claude")]


@pytest.mark.parametrize(
    ("ancestors", "tab_pid", "pid"),
    [
        ([SHELL, OWN, *OTHERS], 10, 10),
        ([OWN, *OTHERS], 10, 10),
        ([SHELL, OWN, STARTER, *OTHERS], 5, 10),
        ([SHELL, OWN, LAUNCHER, STARTER, *OTHERS], 5, 10),
        ([SHELL, OWN, *OTHERS], 99, None),
        ([SHELL, (10, "other"), *OTHERS], 10, None),
        ([], 10, None),
    ],
)
def test_the_first_of_its_name_that_starts_in_a_terminal_is_the_sessions_own(
    ancestors: list[Ancestor], tab_pid: int, pid: int | None
) -> None:
    assert own_program(ancestors, tab_pid, "claude", known=None, starts=True) == pid


@pytest.mark.parametrize("starts", [False, True])
def test_once_it_is_known_nobody_inside_of_it_speaks_for_it(starts: bool) -> None:
    own = [SHELL, OWN, LAUNCHER, STARTER, *OTHERS]
    assert own_program(own, 5, "claude", known=10, starts=starts) == 10
    for inside in ([SHELL, NESTED, *own], [NESTED, *own], [SHELL, NESTED, (25, "bash"), *own]):
        assert own_program(inside, 5, "claude", known=10, starts=starts) is None


def test_one_that_starts_in_place_of_one_that_is_gone_is_the_sessions_own() -> None:
    again = [SHELL, (40, "claude"), LAUNCHER, STARTER, *OTHERS]
    assert own_program(again, 5, "claude", known=10, starts=True) == 40
    assert own_program(again, 5, "claude", known=10, starts=False) is None


def test_without_a_start_the_only_one_of_its_name_is_believed() -> None:
    assert own_program([SHELL, OWN, STARTER], 5, "claude", known=None, starts=False) == 10
    assert own_program([SHELL, NESTED, OWN, STARTER], 5, "claude", known=None, starts=False) is None
