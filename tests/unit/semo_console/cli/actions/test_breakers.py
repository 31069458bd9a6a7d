"""Which breaker an operator means, and how one is put into words."""

from uuid import UUID

import pytest

from semo_console.cli.actions.breakers import Fleet, HostBreaker, choose_breaker, choose_host, in_words
from semo_console.errors import UnclearTarget
from semo_office.breaker import Breaker, CircuitState
from semo_office.models import AgentHost


def host(name: str, number: int) -> AgentHost:
    return AgentHost(id=UUID(int=number), user_id=UUID(int=8), owner_id=UUID(int=9), name=name, last_seen_at=None)


MAC, MINI = host("mac", 1 << 100), host("mac-mini", 2 << 100)


def breaker(
    profile: str = "claude",
    state: CircuitState = CircuitState.OPEN,
    *,
    place: AgentHost = MAC,
    failures: int = 3,
    manual: bool = False,
    retry_in_ms: int | None = None,
    probes: int = 0,
) -> HostBreaker:
    return HostBreaker(
        place,
        Breaker(
            host_id=place.id,
            profile=profile,
            state=state,
            failures=failures,
            failure_threshold=3,
            reset_timeout_ms=60_000,
            half_open_requests=1,
            manual=manual,
            version=1,
            retry_in_ms=retry_in_ms,
            probes=probes,
        ),
    )


def fleet(*breakers: HostBreaker) -> Fleet:
    return Fleet(UUID(int=7), [MAC, MINI], breakers)


@pytest.mark.parametrize(
    ("said", "of"),
    [
        ("paused, next try 0:41", breaker(retry_in_ms=40_001)),
        ("paused, next try 1:00", breaker(retry_in_ms=60_000)),
        ("paused, next try now", breaker(retry_in_ms=0)),
        ("paused by hand", breaker(manual=True)),
        ("paused, next try now", breaker(state=CircuitState.HALF_OPEN)),
        ("trying again", breaker(state=CircuitState.HALF_OPEN, probes=1)),
        ("ok, 2 of 3 failures", breaker(state=CircuitState.CLOSED, failures=2)),
        ("ok", breaker(state=CircuitState.CLOSED, failures=0)),
    ],
)
def test_a_breaker_is_put_into_words(said: str, of: HostBreaker) -> None:
    assert in_words(of.breaker) == said


def test_the_only_one_that_is_paused_need_not_be_named() -> None:
    paused = breaker()
    assert choose_breaker(fleet(breaker("codex", CircuitState.CLOSED), paused), None, None) is paused


def test_of_several_the_host_and_the_beginning_of_the_cli_decide() -> None:
    wanted = breaker(place=MINI)
    known = fleet(breaker(), wanted, breaker("codex", place=MINI))
    assert choose_breaker(known, "mac-m", "cl") is wanted
    with pytest.raises(UnclearTarget, match=r"mac-mini claude \(.*\), mac-mini codex"):
        choose_breaker(known, "mac-mini", None)


@pytest.mark.parametrize(
    ("breakers", "chosen", "sentence"),
    [
        ((), (None, None), "Nothing is paused here"),
        ((breaker(state=CircuitState.CLOSED, failures=0),), (None, None), "Nothing is paused here"),
        ((breaker(),), ("mac", "codex"), "nothing of 'mac codex'"),
        ((breaker(),), ("mac", ""), "nothing of 'mac '"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(
    breakers: tuple[HostBreaker, ...], chosen: tuple[str | None, str | None], sentence: str
) -> None:
    with pytest.raises(UnclearTarget, match=sentence):
        choose_breaker(fleet(*breakers), *chosen)


@pytest.mark.parametrize("chosen", ["mac", str(MAC.id)])
def test_a_whole_name_or_id_is_that_host_also_when_another_begins_with_it(chosen: str) -> None:
    assert choose_host([MAC, MINI], chosen) is MAC


@pytest.mark.parametrize(("chosen", "sentence"), [("ma", "Several hosts"), ("pc", "No host 'pc'"), ("", "No host ''")])
def test_a_host_that_is_unclear_is_not_guessed(chosen: str, sentence: str) -> None:
    with pytest.raises(UnclearTarget, match=sentence):
        choose_host([MAC, MINI], chosen)
