"""How well the office can be reached now, as a person is shown it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class LinkState(StrEnum):
    LIVE = "live"  # changes arrive by themselves
    CATCHING_UP = "catching_up"  # they do again, and what was missed is being read
    POLLING = "polling"  # they don't; the tables are read every few seconds
    OFFLINE = "offline"  # the tables can't be read either


@dataclass(frozen=True)
class LinkStatus:
    """`since`: when this state began; of `offline`, when the office was last given up."""

    state: LinkState
    since: datetime


class Subscription(Protocol):
    """What the state depends on of each office's hints."""

    joined: bool

    @property
    def catching_up(self) -> bool: ...


class Health:
    """Puts together what requests and subscriptions say, and tells listeners when the state changes.

    Listeners are called where the change is noticed: they must neither block nor raise.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._reached = True
        self._subscriptions: list[Subscription] = []
        self._listeners: list[Callable[[LinkStatus], None]] = []
        self.status = LinkStatus(LinkState.POLLING, now())

    def listen(self, listener: Callable[[LinkStatus], None]) -> Callable[[], None]:
        """Tell the listener the status now and at every change, until the returned function is called."""
        self._listeners.append(listener)
        listener(self.status)
        return lambda: self._listeners.remove(listener)

    def include(self, subscription: Subscription) -> None:
        self._subscriptions.append(subscription)
        self.judge()

    def note_reached(self, reached: bool) -> None:
        """A request got an answer, or none."""
        if reached is not self._reached:
            self._reached = reached
            self.judge()

    def judge(self) -> None:
        """Look again: a subscription came, went or caught up."""
        state = self._state()
        if state is not self.status.state:
            self.status = LinkStatus(state, self._now())
            for listener in tuple(self._listeners):
                listener(self.status)

    def _state(self) -> LinkState:
        if not self._reached:
            return LinkState.OFFLINE
        if not self._subscriptions or not all(each.joined for each in self._subscriptions):
            return LinkState.POLLING
        return LinkState.CATCHING_UP if any(each.catching_up for each in self._subscriptions) else LinkState.LIVE
