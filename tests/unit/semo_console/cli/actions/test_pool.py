"""What `semo pool set` and `semo up --warm` understand."""

import pytest

from semo_console.cli.actions.pool import Wish, read_sizes, read_wish
from semo_console.errors import UnreadableInput
from semo_office.pool import PoolConfig


def test_roles_and_numbers_are_read() -> None:
    assert read_sizes(["BE=1", " 백엔드 = 2", "QA=0"]) == {"BE": 1, "QA": 0} | {"백엔드": 2}


def test_seconds_become_milliseconds_and_what_is_not_said_stays_open() -> None:
    assert read_wish(Wish(("BE=1",), idle_timeout=1.5)) == PoolConfig(warm_pool_size={"BE": 1}, idle_timeout=1500)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(()), "Say what to set"),
        (Wish(("BE",)), "'BE' is not a role and a number"),
        (Wish(("=1",)), "'=1' is not a role and a number"),
        (Wish(("BE=one",)), "'BE=one' is not a role and a number"),
        (Wish(("BE=1.5",)), "'BE=1.5' is not a role and a number"),
        (Wish(("BE=-1",)), "0 to 50 spare sessions, not -1"),
        (Wish(("BE=51",)), "0 to 50 spare sessions, not 51"),
        (Wish(("BE=1", "BE=2")), "BE is named twice"),
        (Wish((), profile="claude"), "Say what to set"),
        (Wish((), profile="claude", cold_cap=1), "--profile is for the spares that are named"),
        (Wish((), idle_timeout=0.5), "--idle-timeout is 1 to 604800 seconds, not 0.5"),
        (Wish((), idle_timeout=float("nan")), "--idle-timeout is 1 to"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_one_sentence(wish: Wish, sentence: str) -> None:
    with pytest.raises(UnreadableInput, match=sentence):
        read_wish(wish)
