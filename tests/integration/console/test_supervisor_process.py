"""The real supervisor process over small services that are real processes too."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from semo_console.errors import ProcessFailed
from semo_console.processes import Process, Processes, ProcessName, ProcessState, is_locked
from semo_console.supervisor.client import SupervisorClient, stop_supervisor
from semo_console.supervisor.record import ServiceRecord, read_supervisor_record
from semo_office.locations import StateFolder

PROGRAM = (sys.executable, str(Path(__file__).parents[2] / "programs" / "supervisor.py"))
DEADLINE = 20.0  # s


class Household:
    """A state folder, and the supervisors that a test starts in it."""

    def __init__(self, state: StateFolder) -> None:
        self.processes = Processes(state)
        self.clients: list[SupervisorClient] = []

    def start(self, hub: str = "", agent: str = "") -> SupervisorClient:
        commands = [["hub", hub], ["agent", agent]]
        client = SupervisorClient.start(self.processes, [list(filter(None, each)) for each in commands], PROGRAM)
        self.clients.append(client)
        return client

    def run(self) -> tuple[Process, Process]:
        """A supervisor whose two services serve."""
        client = self.start()
        return client.await_running("hub"), client.await_running("agent")

    @property
    def supervisor(self) -> Process:
        found = self.processes.find("supervisor")
        assert found
        return found

    def service(self, name: ProcessName) -> ServiceRecord:
        record = read_supervisor_record(self.processes)
        service = record.service(name) if record else None
        assert service
        return service

    def eventually(self, condition: Callable[[], bool]) -> None:
        assert self.processes.wait(condition, DEADLINE)

    def all_gone(self, *processes: Process) -> None:
        self.eventually(lambda: not any(process.is_alive() for process in processes))


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    household = Household(StateFolder(tmp_path / "state").prepare())
    yield household
    for client in household.clients:
        client.abandon()
    assert household.processes.find("hub") is None
    assert household.processes.find("agent") is None


def refuse_warnings(sentence: str) -> None:
    raise AssertionError(sentence)


def test_a_killed_service_is_started_again_and_the_other_goes_on(household: Household) -> None:
    hub, agent = household.run()
    hub.signal(signal.SIGKILL)
    household.eventually(lambda: (found := household.processes.find("hub")) is not None and found != hub)
    household.eventually(lambda: household.service("hub").state is ProcessState.RUNNING)
    again = household.service("hub")
    assert (again.restarts, again.last_exit and again.last_exit.why) == (1, "ended by SIGKILL")
    assert household.processes.find("agent") == agent


def test_a_superseded_service_is_not_started_again(household: Household) -> None:
    client = household.start(agent="superseded")
    client.await_running("agent").signal(signal.SIGHUP)
    household.eventually(lambda: household.service("agent").state is ProcessState.STOPPED)
    ended = household.service("agent")
    assert (ended.restarts, ended.next_try_at) == (0, None)
    assert ended.last_exit
    assert ended.last_exit.why == "superseded: Another one is at work."


def test_a_service_that_can_not_start_is_told_in_its_own_words_and_nothing_stays(household: Household) -> None:
    client = household.start(hub="fails")
    household.eventually(lambda: household.processes.find("agent") is not None)
    agent = household.processes.find("agent")
    assert agent
    with pytest.raises(ProcessFailed, match=r"^port 1 is in use: choose another with --port\.$"):
        client.await_running("hub")
    client.abandon()
    household.all_gone(agent)
    assert household.processes.find("supervisor") is None


def test_who_joins_hurries_what_waits_and_hears_how_that_ends(household: Household) -> None:
    household.start(hub="fails")
    household.eventually(lambda: household.processes.find("supervisor") is not None)
    household.eventually(lambda: household.service("hub").ends >= 3)
    before = household.service("hub").ends
    joined = SupervisorClient.join(household.processes, household.supervisor)
    with pytest.raises(ProcessFailed, match="port 1 is in use"):
        joined.await_running("hub")
    assert household.service("hub").ends > before


def test_who_joins_starts_nothing_twice(household: Household) -> None:
    hub, agent = household.run()
    joined = SupervisorClient.join(household.processes, household.supervisor)
    assert (joined.await_running("hub"), joined.await_running("agent")) == (hub, agent)
    joined.abandon()
    assert household.processes.find("hub") == hub


def test_a_second_supervisor_is_refused(household: Household) -> None:
    hub, _ = household.run()
    second = household.start()
    assert second._started
    assert second._started.process.wait(DEADLINE) == 1
    assert "runs for" in (second._started.last_sentence() or "")
    assert household.processes.find("hub") == hub


def test_services_end_with_a_killed_supervisor(household: Household) -> None:
    services = household.run()
    household.supervisor.signal(signal.SIGKILL)
    household.all_gone(*services)


def test_the_next_supervisor_awaits_what_a_killed_one_left(household: Household) -> None:
    client = household.start(hub="deaf")
    deaf = client.await_running("hub")
    household.supervisor.signal(signal.SIGKILL)
    client.abandon()
    again = household.start()
    household.eventually(lambda: is_locked(household.processes.lock_of("supervisor")))
    deaf.signal(signal.SIGHUP)
    assert again.await_running("hub").pid != deaf.pid
    # A start that met the old one would have failed.
    assert (household.service("hub").ends, deaf.is_alive()) == (0, False)


def test_a_stop_ends_supervisor_and_services(household: Household) -> None:
    services = household.run()
    supervisor = household.supervisor
    stop_supervisor(household.processes, supervisor, warn=refuse_warnings)
    household.all_gone(supervisor, *services)
    assert not household.processes.state.process_record("supervisor").exists()
    assert "Traceback" not in household.processes.state.log_of("supervisor").read_text()
