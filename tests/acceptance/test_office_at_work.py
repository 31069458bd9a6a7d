"""A whole office: three roles, twelve jobs in a graph, agent CLIs and shells, and what goes wrong in each way.

`SEMO_KILLS`: how often the server is killed meanwhile, at random moments (`SEMO_SEED`).
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from semo_office.models import SessionStatus
from tests.acceptance.machine import Machine, eventually, new_machine
from tests.acceptance.servers import serving
from tests.acceptance.test_api import api_of
from tests.programs.agent_cli_profile import NAME, AgentCli, write_profile

KILLS = int(os.environ.get("SEMO_KILLS", "2"))
SEED = int(os.environ.get("SEMO_SEED", "0")) or random.randrange(10**6)
LEADS_FOR_S = (0.0, 1.5)
TAKE_OVER_S = 30.0
DONE_S = 60.0 + 20.0 * KILLS

pytestmark = pytest.mark.timeout(DONE_S * 2)

QUESTION = "어느 데이터베이스?"

# Every way in which a job can end, and what hangs on each. The last column is the end that it has to have.
PLAN = """
job = [
  {{ name = "schema",  role = "BE", profile = "{cli}", description = "스키마를 만든다\\n@take 0.2\\n@say 완료" }},
  {{ name = "service", role = "BE", profile = "{cli}", description = "@take 0.2", depends_on = ["schema"] }},
  {{ name = "asks",    role = "BE", profile = "{cli}", description = "@ask {question}\\n@say 골랐다" }},
  {{ name = "crashes", role = "BE", profile = "{cli}", description = "@take 0.1\\n@crash" }},
  {{ name = "after a crash", role = "BE", profile = "{cli}", description = "never", depends_on = ["crashes"] }},
  {{ name = "page",    role = "FE", profile = "{cli}", description = "@take 0.2", depends_on = ["service"] }},
  {{ name = "forgets", role = "FE", profile = "{cli}", description = "@forget" }},
  {{ name = "after a doubt", role = "FE", profile = "{cli}", description = "never", depends_on = ["forgets"] }},
  {{ name = "endless", role = "FE", profile = "{cli}", description = "@wait {gate}" }},
  {{ name = "lint",    role = "QA", description = "echo lint >> {ran}; (exit 3)" }},
  {{ name = "after a failure", role = "QA", description = "echo never >> {ran}", depends_on = ["lint"] }},
  {{ name = "tests",   role = "QA", description = "echo tests >> {ran}; sleep 0.3", depends_on = ["service", "page"] }},
]
"""
ENDS = {
    "schema": "done",
    "service": "done",
    "asks": "done",
    "crashes": "failed",
    "after a crash": "cancelled",
    "page": "done",
    "forgets": "needs_review",
    "after a doubt": "pending",
    "endless": "cancelled",
    "lint": "failed",
    "after a failure": "cancelled",
    "tests": "done",
}
ATTEMPTS = {"crashes": 2, "after a crash": 0, "after a doubt": 0, "after a failure": 0}
WANTED_SPARES = {"BE": 1, "FE": 1, "QA": 1}


@dataclass
class Office:
    """One office at work, seen as an operator's programs see it."""

    machine: Machine
    cli: AgentCli
    ran: Path
    jobs: dict[str, str]

    @property
    def path(self) -> str:
        return f"/api/offices/{self.machine.told['office_id']}"

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = list(self.machine.ask(lambda link: link.select(table)))
        return rows

    def statuses(self) -> dict[str, str]:
        by_id = {str(row["id"]): str(row["status"]) for row in self.rows("job_queue")}
        return {name: by_id[job_id] for name, job_id in self.jobs.items()}

    def attempts(self) -> Counter[str]:
        names = {job_id: name for name, job_id in self.jobs.items()}
        return Counter(names[str(row["job_id"])] for row in self.rows("job_attempts"))

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request to the API of whoever serves now; asked again while nobody does."""
        token = self.machine.semo("token").out.strip()
        headers = {"Authorization": f"Bearer {token}"}
        answered: list[httpx.Response] = []

        def try_once() -> bool:
            try:
                with httpx.Client(
                    base_url=api_of(self.machine), headers=headers, timeout=30, trust_env=False
                ) as client:
                    answered.append(client.request(method, f"{self.path}{path}", **arguments))
            except httpx.TransportError:
                return False
            return answered[-1].status_code < 500

        eventually(try_once, f"{method} {path} is answered", within=DONE_S)
        return answered[-1]

    def answer_the_question(self) -> None:
        asking = [row for row in self.sessions_that(SessionStatus.WAITING_INPUT) if row["reason"] == QUESTION]
        assert len(asking) == 1
        path = f"/sessions/{asking[0]['session_id']}/answer"
        # With an id of its own: it may be asked again when its answer is lost.
        request = {"text": "postgres", "id": "6b1f4a52-0000-4000-8000-000000000001"}
        assert self.call("POST", path, json=request, params={"wait": 20}).status_code in (200, 202)

    def sessions_that(self, status: SessionStatus) -> list[dict[str, Any]]:
        return [row for row in self.rows("agent_sessions") if row["status"] == status]


@contextmanager
def office(kills: int) -> Iterator[Office]:
    with new_machine() as machine:
        cli = write_profile(machine.path / "config" / "profiles")
        machine.up()
        ran = machine.path / "ran"
        wanted = [f"{role}={count}" for role, count in WANTED_SPARES.items()]
        for role, profile in (("BE", NAME), ("FE", NAME), ("QA", "shell")):
            assert machine.semo("pool", "set", f"{role}=1", "--profile", profile).code == 0, wanted
        assert machine.semo("pool", "set", "--cold-cap", "6").code == 0
        with served(machine, kills):
            text = PLAN.format(cli=NAME, question=QUESTION, gate=machine.path / "gate", ran=ran)
            added = machine.semo("job", "add", "--file", "-", "--json", stdin=text.encode())
            assert added.code == 0, added
            jobs = {job["title"]: job["id"] for job in added.json}
            assert set(jobs) == set(ENDS)
            yield Office(machine, cli, ran, jobs)


@contextmanager
def served(machine: Machine, kills: int) -> Iterator[None]:
    """A server that is killed at so many moments while it leads, and started again at once."""
    over, chance = threading.Event(), random.Random(SEED)

    def serve() -> None:
        for left in range(kills, -1, -1):
            with serving(machine) as server:
                server.await_lead(within=TAKE_OVER_S)
                over.wait(chance.uniform(*LEADS_FOR_S) if left else None)
                if over.is_set():
                    server.stop()
                    return
                server.kill()

    thread = threading.Thread(target=serve, name="server")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=60)


@pytest.mark.parametrize("kills", [0, KILLS])
def test_every_job_session_spare_and_breaker_ends_as_designed_and_each_prompt_is_received_once(kills: int) -> None:
    with office(kills) as at_work:
        eventually(lambda: _asks(at_work), f"the question is asked (seed {SEED})", within=DONE_S)
        at_work.answer_the_question()
        eventually(lambda: at_work.statuses()["endless"] == "processing", "endless runs", within=DONE_S)
        eventually(lambda: any("@wait" in text for text in at_work.cli.received()), "endless was typed", within=DONE_S)
        assert at_work.call("POST", f"/jobs/{at_work.jobs['endless']}/cancel").status_code == 200
        eventually(lambda: at_work.statuses() == ENDS, f"the jobs end as designed (seed {SEED})", within=DONE_S)
        see_attempts(at_work)
        see_prompts(at_work)
        see_pool(at_work)
        see_breakers(at_work)


def _asks(at_work: Office) -> bool:
    return any(row["reason"] == QUESTION for row in at_work.sessions_that(SessionStatus.WAITING_INPUT))


def see_attempts(at_work: Office) -> None:
    """One for each job, two for the one that crashes; what never began has none, and names what it waited for."""
    attempts = at_work.attempts()
    assert {name: attempts[name] for name in ENDS} == {name: ATTEMPTS.get(name, 1) for name in ENDS}
    reasons = {str(row["title"]): str(row["reason"]) for row in at_work.rows("job_queue")}
    assert "crashes" in reasons["after a crash"]
    assert "lint" in reasons["after a failure"]


def see_prompts(at_work: Office) -> None:
    """Every prompt of an attempt was received once: its word that it is done makes each another one."""
    received = at_work.cli.received()
    assert len(set(received)) == len(received)
    wanted = sum(ATTEMPTS.get(name, 1) for name in ENDS if name not in ("lint", "after a failure", "tests"))
    assert len(received) == wanted
    assert sorted(at_work.ran.read_text().split()) == ["lint", "tests"]


def see_pool(at_work: Office) -> None:
    """Every role has its spare again, nothing is in use, and no session is counted twice or lost.

    A shell that did its job is given back, and rests beside the spare for as long as the pool lets it.
    """

    def is_full() -> bool:
        status = at_work.call("GET", "/pool").json()
        roles = {role["role"]: role for role in status["roles"]}
        spares = {name: roles[name]["spares"] for name in WANTED_SPARES}
        at_rest = all((roles[name]["starting"], roles[name]["in_use"]) == (0, 0) for name in WANTED_SPARES)
        return at_rest and spares == WANTED_SPARES | {"QA": max(spares["QA"], WANTED_SPARES["QA"])}

    try:
        eventually(is_full, f"every role has its spare, and nothing is in use (seed {SEED})", within=DONE_S)
    except AssertionError as err:
        raise AssertionError(f"{err}: {at_work.call('GET', '/pool').json()}") from err
    living = [row for row in at_work.rows("agent_sessions") if row["status"] != SessionStatus.TERMINATED]
    states = Counter(str(row["pool_state"]) for row in living)
    assert states["in_use"] == 0
    # A person's own session of `semo up` is nobody's business.
    assert states["None"] == 1
    roles = at_work.call("GET", "/pool").json()["roles"]
    assert states["spare"] == sum(role["spares"] for role in roles)
    assert states["kept"] == sum(role["kept"] for role in roles)


def see_breakers(at_work: Office) -> None:
    """A crash in a turn, a question and a failed job are no fault of the start of a program."""
    assert all(row["state"] == "closed" and row["failures"] == 0 for row in at_work.rows("circuit_breakers"))
