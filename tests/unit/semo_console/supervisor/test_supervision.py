"""What the supervisor decides, by a clock that the test moves; the programs are only noted down."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from semo_console.background import Background
from semo_console.errors import ProcessFailed
from semo_console.processes import Process, Processes, ProcessName, ProcessState
from semo_console.supervisor.backoff import Backoff
from semo_console.supervisor.record import ServiceRecord
from semo_console.supervisor.service import Clocks, Plan, Service, at_port
from semo_console.supervisor.supervision import Supervision

LOG_SENTENCE = "port 1 is in use."


@dataclass
class Program:
    """Takes the place of a started program."""

    pid: int
    arguments: tuple[str, ...]
    status: int | None = None
    signals: list[int] = field(default_factory=list)
    is_deaf: bool = False

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if not self.is_deaf or number == signal.SIGKILL:
            self.status = -number


class Land:
    """Clock, programs and what is found of them; `wait` moves the clock and then does what the test has planned."""

    def __init__(self) -> None:
        self.time = 0.0
        self.stop = self.hurry = False
        self.programs: dict[str, list[Program]] = {"hub": [], "agent": [], "server": []}
        self.strangers: dict[str, Process] = {}
        self.serving: set[int] = set()
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.records: list[ServiceRecord] = []
        self.states: list[tuple[str, ProcessState]] = []

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        self.plans.append((seconds, act))

    def wait(self, seconds: float | None) -> None:
        next_plan = min((at for at, _ in self.plans), default=None)
        wake = min(at for at in (next_plan, None if seconds is None else self.time + seconds) if at is not None)
        self.time = wake
        due, self.plans = [p for p in self.plans if p[0] <= wake], [p for p in self.plans if p[0] > wake]
        for _, act in due:
            act()

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time)

    def launch(self, plan: Plan, arguments: Sequence[str]) -> Background:
        program = Program(1000 + len(self.programs[plan.name]), tuple(arguments))
        self.programs[plan.name].append(program)
        return cast("Background", _Started(program))

    def find(self, name: ProcessName) -> Process | None:
        if stranger := self.strangers.get(name):
            return stranger
        programs = self.programs[name]
        if not programs or programs[-1].pid not in self.serving or programs[-1].status is not None:
            return None
        return Process(name, programs[-1].pid, "", url="http://127.0.0.1:4711" if name == "hub" else None)

    def forget(self, name: ProcessName) -> None:
        pass

    def die(self, name: str, status: int) -> Callable[[], None]:
        def act() -> None:
            self.programs[name][-1].status = status

        return act

    def publish(self, records: list[ServiceRecord]) -> None:
        self.records = records

    def say(self, _event: str, record: ServiceRecord) -> None:
        self.states.append((record.name, record.state))

    def record(self, name: str) -> ServiceRecord:
        [record] = [record for record in self.records if record.name == name]
        return record

    def supervise(self, *plans: Plan, until: float) -> None:
        self.at(until, lambda: setattr(self, "stop", True))
        clocks = Clocks(self.monotonic, self.now)
        processes = cast("Processes", self)
        services = [Service(plan, processes, self.launch, Backoff(lambda: 1.0), clocks) for plan in plans]
        supervision = Supervision(services, self, monotonic=self.monotonic, publish=self.publish, say=self.say)
        supervision.run()


@dataclass
class _Started:
    process: Program
    log: Path = Path("hub.log")

    def last_sentence(self) -> str:
        return LOG_SENTENCE


HUB = Plan("hub", "hub", ("--port", "0"))
AGENT = Plan("agent", "agent", needs=("hub",))
SERVER = Plan("server", "serve", after=("agent",))


@pytest.fixture
def land(monkeypatch: pytest.MonkeyPatch) -> Land:
    monkeypatch.setattr("semo_console.supervisor.service.birth_of", lambda _pid: "born")
    return Land()


def test_the_server_starts_once_the_agent_serves_and_stays_when_that_dies(land: Land) -> None:
    seen: list[int] = []
    for at, act in (
        (1.0, lambda: seen.append(len(land.programs["server"]))),
        (2.0, lambda: land.serving.add(1000)),
        (3.0, lambda: seen.append(len(land.programs["server"]))),
        (4.0, land.die("agent", 1)),
        (5.0, lambda: seen.append(len(land.programs["server"]))),
    ):
        land.at(at, act)
    land.supervise(HUB, AGENT, SERVER, until=6.0)
    assert seen == [0, 1, 1]
    assert land.programs["server"][0].signals == [signal.SIGTERM]


def test_all_start_at_once(land: Land) -> None:
    land.supervise(HUB, AGENT, until=0.01)
    assert [len(land.programs[name]) for name in ("hub", "agent")] == [1, 1]


def test_what_dies_is_started_again_after_its_wait(land: Land) -> None:
    land.at(1.0, land.die("agent", -9))
    seen: list[int] = []
    land.at(1.49, lambda: seen.append(len(land.programs["agent"])))
    land.at(1.6, lambda: seen.append(len(land.programs["agent"])))
    land.supervise(HUB, AGENT, until=2.0)
    assert seen == [1, 2]


def test_the_record_says_why_how_often_and_when_next(land: Land) -> None:
    land.at(1.0, land.die("hub", 1))
    records: list[ServiceRecord] = []
    land.at(1.3, lambda: records.append(land.record("hub")))
    land.at(1.8, lambda: records.append(land.record("hub")))
    land.supervise(HUB, until=2.0)
    waiting, again = records
    assert (waiting.state, waiting.pid, waiting.restarts, waiting.ends) == (ProcessState.BACKING_OFF, None, 0, 1)
    assert waiting.last_exit is not None
    assert waiting.last_exit.why == LOG_SENTENCE
    assert waiting.next_try_at == "2026-01-01T00:00:01.500+00:00"
    assert (again.state, again.restarts, again.next_try_at) == (ProcessState.STARTING, 1, None)


def test_what_was_superseded_stays_ended_until_it_is_asked_for(land: Land) -> None:
    land.at(1.0, land.die("agent", 3))
    seen: list[tuple[int, ProcessState]] = []
    look = lambda: seen.append((len(land.programs["agent"]), land.record("agent").state))  # noqa: E731
    land.at(500.0, look)
    land.at(501.0, lambda: setattr(land, "hurry", True))
    land.at(502.0, look)
    land.supervise(HUB, AGENT, until=503.0)
    assert seen == [(1, ProcessState.STOPPED), (2, ProcessState.STARTING)]


def test_a_hurry_ends_a_wait_and_starts_nothing_twice(land: Land) -> None:
    for moment in (1.0, 1.6, 2.8, 5.0):
        land.at(moment, land.die("agent", 1))
    land.at(5.1, lambda: setattr(land, "hurry", True))
    seen: list[list[int]] = []
    land.at(5.2, lambda: seen.append([len(land.programs[name]) for name in ("hub", "agent")]))
    land.supervise(HUB, AGENT, until=5.3)
    assert seen == [[1, 5]]


def test_nothing_starts_while_what_it_needs_is_down(land: Land) -> None:
    for moment in (1.0, 1.6, 2.8, 5.0):
        land.at(moment, land.die("hub", 1))
    land.at(5.1, land.die("agent", 1))
    seen: list[tuple[int, ProcessState]] = []
    land.at(8.9, lambda: seen.append((len(land.programs["agent"]), land.record("agent").state)))
    land.at(9.2, lambda: seen.append((len(land.programs["agent"]), land.record("agent").state)))
    land.supervise(HUB, AGENT, until=10.0)
    assert seen == [(1, ProcessState.BACKING_OFF), (2, ProcessState.STARTING)]


def test_what_needs_a_dead_service_lives_on(land: Land) -> None:
    land.at(1.0, land.die("hub", -9))
    signals: list[list[int]] = []
    land.at(3.0, lambda: signals.append(list(land.programs["agent"][0].signals)))
    land.supervise(HUB, AGENT, until=4.0)
    assert signals == [[]]
    assert len(land.programs["agent"]) == 1


def test_a_hub_keeps_the_port_that_it_got(land: Land) -> None:
    land.serving = {1000, 1001}
    land.at(1.0, land.die("hub", -9))
    land.supervise(HUB, until=2.0)
    assert [program.arguments for program in land.programs["hub"]] == [("--port", "0"), ("--port", "4711")]


def test_a_stop_ends_the_last_first_and_by_force_only_what_is_deaf(land: Land) -> None:
    land.at(1.0, lambda: setattr(land.programs["hub"][0], "is_deaf", True))
    land.supervise(HUB, AGENT, until=2.0)
    assert land.programs["agent"][0].signals == [signal.SIGTERM]
    assert land.programs["hub"][0].signals == [signal.SIGTERM, signal.SIGKILL]
    assert land.states[-2:] == [("agent", ProcessState.STOPPED), ("hub", ProcessState.STOPPED)]


def test_what_somebody_else_runs_is_joined_and_not_ended_and_followed_when_it_goes(
    land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Process("hub", 7, "born")
    alive = [True]
    monkeypatch.setattr(Process, "is_alive", lambda _self: alive[0])
    land.strangers["hub"] = stranger
    seen: list[tuple[int, int | None]] = []

    def go() -> None:
        seen.append((len(land.programs["hub"]), land.record("hub").pid))
        alive[0] = False
        del land.strangers["hub"]

    land.at(5.0, go)
    land.supervise(HUB, until=8.0)
    assert seen == [(0, 7)]
    assert len(land.programs["hub"]) == 1


def test_a_program_that_can_not_be_started_is_tried_again(land: Land, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def refuse(_name: ProcessName, _arguments: Sequence[str]) -> Background:
        tries.append(land.time)
        raise ProcessFailed("It can't be started.")

    monkeypatch.setattr(land, "launch", refuse)
    land.supervise(HUB, until=4.0)
    assert tries == [0.0, 0.5, 1.5, 3.5]
    assert land.record("hub").last_exit is not None


def test_only_the_port_is_replaced() -> None:
    assert at_port(("--a", "--port", "0", "b"), "1") == ("--a", "--port", "1", "b")
    assert at_port(("--terminal", "pty"), "1") == ("--terminal", "pty")
