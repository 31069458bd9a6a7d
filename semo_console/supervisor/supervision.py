"""The supervisor's one loop: look at every service, start what is due, say what changed, wait for news."""

import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from semo_console.processes import KILL_DEADLINE, STOP_DEADLINE, ProcessState
from semo_console.supervisor.record import ServiceRecord
from semo_console.supervisor.service import Service

FINE_PAUSE = 0.02  # s between two looks at a service that starts
SLOW_PAUSE = 0.25  # s, when it takes its time
SLOW_AFTER = 10.0  # s
JOINED_PAUSE = 1.0  # s between two looks at a service that is not our child


class News(Protocol):
    """What the outside tells a supervisor, above all by signals."""

    stop: bool
    hurry: bool

    def wait(self, seconds: float | None) -> None:
        """Until something happens, at most so long; None: for ever."""


class Supervision:
    """Keeps the services running until it is told to stop. `services`: each after what it needs."""

    def __init__(
        self,
        services: Sequence[Service],
        news: News,
        *,
        monotonic: Callable[[], float],
        publish: Callable[[list[ServiceRecord]], None],
        say: Callable[[str, ServiceRecord], None],
    ) -> None:
        self._services = services
        self._news = news
        self._monotonic = monotonic
        self._publish = publish
        self._say = say
        self._told: list[ServiceRecord] = []

    def run(self) -> None:
        """Until `stop`; then the services end, the last first."""
        while not self._news.stop:
            self._step()
            self._news.wait(self._pause())
        for service in reversed(self._services):
            self._end(service)

    def _step(self) -> None:
        for service in self._services:
            service.look()
        if self._news.hurry:
            self._news.hurry = False
            self._hurry()
        for service in self._services:
            if service.next_try_in == 0 and self._has_what_it_needs(service):
                service.start()
        self._tell()

    def _hurry(self) -> None:
        for service in self._services:
            if not service.is_up:
                service.hurry()

    def _has_what_it_needs(self, service: Service) -> bool:
        return all(
            other.is_up if other.name in service.plan.needs else other.state is ProcessState.RUNNING
            for other in self._services
            if other.name in (*service.plan.needs, *service.plan.after)
        )

    def _pause(self) -> float | None:
        pauses = [pause for service in self._services if (pause := self._pause_for(service)) is not None]
        return min(pauses, default=None)

    def _pause_for(self, service: Service) -> float | None:
        if service.is_joined:
            return JOINED_PAUSE
        if (since := service.starting_for) is not None:
            return FINE_PAUSE if since < SLOW_AFTER else SLOW_PAUSE
        # What waits for another service comes when that one has started.
        return service.next_try_in if self._has_what_it_needs(service) else None

    def _end(self, service: Service) -> None:
        """Politely first; by force after a while."""
        service.look()
        for number, patience in ((signal.SIGTERM, STOP_DEADLINE), (signal.SIGKILL, KILL_DEADLINE)):
            service.send(number)
            self._await_end(service, patience)
        service.rest()
        self._tell()

    def _await_end(self, service: Service, patience: float) -> None:
        deadline = self._monotonic() + patience
        service.look()
        while service.is_ours and (left := deadline - self._monotonic()) > 0:
            self._news.wait(left)
            service.look()

    def _tell(self) -> None:
        """Publish and log what has changed since the last time."""
        records = [service.record() for service in self._services]
        # The time of the next try is computed anew each time; it changes only with an end or a start.
        if [_without_time(record) for record in records] == [_without_time(record) for record in self._told]:
            return
        before = {record.name: record for record in self._told}
        self._told = records
        self._publish(records)
        for record in records:
            if record.name not in before or _without_time(record) != _without_time(before[record.name]):
                self._say(_event(record), record)


def _without_time(record: ServiceRecord) -> tuple[object, ...]:
    return (record.state, record.pid, record.restarts, record.ends)


def _event(record: ServiceRecord) -> str:
    return {
        ProcessState.RUNNING: "runs",
        ProcessState.STARTING: "starts",
        ProcessState.BACKING_OFF: "ended, to be started again" if record.ends else "waits",
        ProcessState.STOPPED: "stopped",
    }[record.state]
