"""By what a live screen shows that a CLI can be typed to."""

import pytest
from pydantic import ValidationError

from semo_agent.profiles.screen import ScreenRules
from semo_agent.terminals.base import Line, Screen, Size

RULES = ScreenRules(rows=3, composer="^>$", working=r"^\* Working", working_title="^⠹", dialog="^Do you trust")


def screen(*rows: str, title: str = "agent") -> Screen:
    lines = tuple(Line(0, number, row, row) for number, row in enumerate((*rows, "", "")))
    return Screen(0, 0, lines, 0, 0, True, False, title, True, False, Size(80, len(lines)))


@pytest.mark.parametrize(
    ("shown", "ready"),
    [
        (screen("hello", ">"), True),
        (screen("hello", "> 초안"), False),
        (screen("* Working… (esc)", ">"), False),
        (screen("hello", ">", title="⠹ agent"), False),
        (screen("* Working", "a", "b", ">"), True),
        (screen(">", "a", "b", "c"), False),
        (screen(), False),
    ],
)
def test_ready_is_an_empty_composer_in_the_lowest_rows_and_no_sign_of_work(shown: Screen, ready: bool) -> None:
    assert RULES.shows_ready(shown) is ready


def test_a_title_can_be_the_sign() -> None:
    rules = ScreenRules(title="^idle$")
    assert [rules.shows_ready(screen(title=title)) for title in ("idle", "idle 2")] == [True, False]


def test_a_dialog_is_told_by_its_row() -> None:
    assert RULES.question(screen("Do you trust this? ", "1. Yes")) == "Do you trust this? "
    assert RULES.question(screen(">")) is None


def test_rules_need_a_positive_sign_and_patterns_that_are_ones() -> None:
    with pytest.raises(ValidationError, match="a positive sign"):
        ScreenRules(working="x")
    with pytest.raises(ValidationError, match="no regular expression"):
        ScreenRules(composer="(")
