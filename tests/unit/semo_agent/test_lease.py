"""When a claim can be trusted without asking."""

from uuid import uuid4

import pytest

from semo_agent.lease import USUAL_TERMS, Lease

TOKEN = uuid4()


class Clocks:
    def __init__(self) -> None:
        self.monotonic, self.wall = 100.0, 5000.0

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def lease(clocks: Clocks) -> Lease:
    made = Lease(lambda: clocks.monotonic, lambda: clocks.wall)
    made.note_renewal(made.now())
    made.note_claim(TOKEN, made.age)
    return made


def test_a_claim_under_a_fresh_lease_is_sure(lease: Lease, clocks: Clocks) -> None:
    for _ in range(5):
        clocks.pass_by(USUAL_TERMS.sure_s / 2)
        lease.note_renewal(lease.now())
    assert lease.covers(TOKEN)


def test_a_claim_is_not_sure_when_the_renewal_is_late(lease: Lease, clocks: Clocks) -> None:
    clocks.pass_by(USUAL_TERMS.sure_s)
    assert not lease.covers(TOKEN)


def test_a_late_renewal_does_not_mend_what_was_claimed_before(lease: Lease, clocks: Clocks) -> None:
    clocks.pass_by(60)
    lease.note_renewal(lease.now())
    assert not lease.covers(TOKEN)
    later = uuid4()
    lease.note_claim(later, lease.age)
    assert lease.covers(later)


def test_a_claim_whose_answer_came_after_a_lapse_is_not_sure(lease: Lease, clocks: Clocks) -> None:
    age = lease.age
    clocks.pass_by(60)
    lease.note_renewal(lease.now())
    late = uuid4()
    lease.note_claim(late, age)
    assert not lease.covers(late)


def test_a_renewal_counts_from_when_it_was_asked_for(lease: Lease, clocks: Clocks) -> None:
    asked = lease.now()
    clocks.pass_by(USUAL_TERMS.sure_s - 1)
    lease.note_renewal(asked)
    clocks.pass_by(1)
    assert not lease.covers(TOKEN)


def test_sleep_counts_though_the_monotonic_clock_stands(lease: Lease, clocks: Clocks) -> None:
    clocks.wall += 60
    assert not lease.covers(TOKEN)


def test_a_wall_clock_set_back_gives_no_time(lease: Lease, clocks: Clocks) -> None:
    clocks.wall -= 3600
    clocks.monotonic += USUAL_TERMS.sure_s
    assert not lease.covers(TOKEN)


def test_nothing_is_sure_before_the_first_renewal_or_without_a_claim(clocks: Clocks) -> None:
    lease = Lease(lambda: clocks.monotonic, lambda: clocks.wall)
    lease.note_claim(TOKEN, lease.age)
    assert not lease.covers(TOKEN)
    lease.note_renewal(lease.now())
    assert not lease.covers(uuid4())
