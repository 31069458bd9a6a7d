from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from semo_office.sleep import SLEEP_MIN_S, SleepWatch

# Halves of a second at these sizes are exact in a float: nothing here is due to rounding.
steps = st.integers(min_value=0, max_value=2_000_000).map(lambda halves: halves / 2)


@dataclass
class Machine:
    """A machine whose clocks a test moves."""

    monotonic: float = 1000.0
    wall: float = 1_700_000_000.0

    def watch(self) -> SleepWatch:
        return SleepWatch(lambda: self.monotonic, lambda: self.wall)

    def work(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    def sleep(self, seconds: float) -> None:
        self.wall += seconds


@given(steps)
def test_a_machine_that_works_has_not_slept(worked: float) -> None:
    machine = Machine()
    watch = machine.watch()
    machine.work(worked)
    assert watch.slept() == 0.0


@given(steps, steps)
def test_a_sleep_is_told_once_and_as_long_as_it_was(worked: float, asleep: float) -> None:
    machine = Machine()
    watch = machine.watch()
    machine.work(worked)
    machine.sleep(asleep)
    assert watch.slept() == (asleep if asleep >= SLEEP_MIN_S else 0.0)
    assert watch.slept() == 0.0


@given(steps)
def test_a_clock_that_is_set_back_is_no_sleep(back: float) -> None:
    machine = Machine()
    watch = machine.watch()
    machine.wall -= back
    assert watch.slept() == 0.0


def test_a_clock_that_was_set_back_does_not_hide_the_next_sleep() -> None:
    machine = Machine()
    watch = machine.watch()
    machine.wall -= 3600.0
    assert watch.slept() == 0.0
    machine.sleep(60.0)
    assert watch.slept() == 60.0


def test_a_clock_that_is_set_right_a_little_at_a_time_never_adds_up_to_a_sleep() -> None:
    machine = Machine()
    watch = machine.watch()
    for _ in range(100):
        machine.sleep(SLEEP_MIN_S / 2)
        assert watch.slept() == 0.0
