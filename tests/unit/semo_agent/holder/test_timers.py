from functools import partial

from semo_agent.holder.timers import Timers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_actions_are_due_in_order_of_their_time_and_once() -> None:
    clock, done = Clock(), list[str]()
    timers = Timers(clock)
    for seconds, name in ((3.0, "late"), (1.0, "early"), (1.0, "early too")):
        timers.after(seconds, partial(done.append, name))
    assert timers.until_next() == 1.0
    clock.now += 2.0
    for action in timers.take_due():
        action()
    assert done == ["early", "early too"]
    assert timers.until_next() == 1.0
    clock.now += 5.0
    assert timers.until_next() == 0.0
    assert len(timers.take_due()) == 1
    assert timers.until_next() is None
