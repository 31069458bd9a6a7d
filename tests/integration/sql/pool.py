"""The pool of an office in the real database."""

from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from tests.integration.sql.jobs import SqlJobs
from tests.integration.sql.office import Caller


def refused(code: str, sentence: str = "") -> "pytest.RaisesExc[psycopg.Error]":
    return pytest.raises(psycopg.Error, match=f"^{code}\n.*{sentence}")


class SqlPool(SqlJobs):
    """An office with a server that leads it; the test is the agent of its host."""

    def want(self, *, cap: int | None = None, profile: str | None = None, **sizes: int) -> dict[str, Any]:
        """Spares of these roles."""
        return self.set(sizes, cap=cap, profile=profile)

    def set(self, sizes: dict[str, int], *, cap: int | None = None, profile: str | None = None) -> dict[str, Any]:
        spares = [{"role": role, "warm_pool_size": size, "profile": profile} for role, size in sizes.items()]
        [row] = self.office.operator.call(
            "set_pool", p_office_id=self.office.id, p_spares=Jsonb(spares), p_max_cold_sessions=cap
        )
        status: dict[str, Any] = row["set_pool"]
        return status

    def survey(self) -> dict[str, Any]:
        [row] = self.office.operator.call("pool_status", p_office_id=self.office.id)
        status: dict[str, Any] = row["pool_status"]
        return status

    def role(self, role: str = "BE") -> dict[str, Any]:
        """What the status says of a role."""
        return next(each for each in self.survey()["roles"] if each["role"] == role)

    def fill(self) -> int | None:
        [row] = self.server.call("fill_pool")
        again: int | None = row["fill_pool"]
        return again

    def reap(self) -> int:
        [row] = self.server.call("reap_pool")
        count: int = row["reap_pool"]
        return count

    def release(self, session: UUID) -> str | None:
        [row] = self.server.call("release_session", p_session_id=session)
        state: str | None = row["release_session"]
        return state

    def dismiss(self, session: UUID) -> DictRow:
        [row] = self.office.operator.call("dismiss_session", p_session_id=session)
        return row

    def serve(self) -> list[UUID]:
        """Do what an agent does with what waits: make sessions, end sessions. Those that it touched."""
        self.office.agent.call("renew_leases", p_instance=self.office.instance)
        touched: list[UUID] = []
        for command in self.office.claim(100):
            ends = command["command_type"] == "terminate"
            assert ends or command["command_type"] == "create_session", command
            self.office.complete(command, p_session={"status": "terminated" if ends else "ready"})
            touched.append(command["session_id"])
        return touched

    def filled(self) -> list[UUID]:
        """Fill the pool, and make what it asks for."""
        self.fill()
        return self.serve()

    def started(self, role: str = "BE", profile: str = "shell") -> tuple[DictRow, UUID]:
        """An attempt with a session that is ready for its prompt."""
        attempt = self.server.begin(self.add(p_role=role))
        decided = self.server.ask_for_session(attempt, profile=profile)
        session = UUID(decided["session_id"])
        if decided["create"]:
            self.create(attempt, session, role, profile)
        return attempt, session

    def create(self, attempt: DictRow, session: UUID, role: str = "BE", profile: str = "shell") -> None:
        payload = {"profile": profile, "role": role}
        self.server.command(attempt, session, "create_session", p_payload=payload)
        assert self.serve() == [session]

    def prompt_and_finish(self, attempt: DictRow, session: UUID, ends: str = "ready") -> None:
        """Its prompt, and the end of the job."""
        self.server.command(attempt, session, "send_prompt")
        [prompt] = self.office.claim()
        self.office.report(prompt, "accepted")
        self.office.complete(prompt, p_result={"output": ""}, p_session={"status": ends})
        self.server.finish(attempt)

    def state(self, session: UUID) -> str | None:
        """spare, in_use, kept; gone when it has ended, None when it is a person's."""
        row = self.office.session(session)
        state: str | None = "gone" if row["status"] == "terminated" else row["pool_state"]
        return state

    def reasons(self, decision: Literal["spare", "cold", "wait", "fill", "replace", "reap", "release"]) -> list[str]:
        rows = self.office.superuser.execute(
            "select reason from pool_decisions where office_id = %s and decision = %s order by id",
            [self.office.id, decision],
        )
        return [row["reason"] for row in rows]

    def age(self, session: UUID, *, made_s: int = 0, idle_s: int = 0) -> None:
        """It was made so long ago, and rests so long."""
        self.office.superuser.execute(
            "update agent_sessions set created_at = created_at - make_interval(secs => %s),"
            " last_activity_at = last_activity_at - make_interval(secs => %s) where session_id = %s",
            [made_s, idle_s, session],
        )

    def report_version(self, version: str | None) -> None:
        """The host's agent has started anew and found this version of the program."""
        profile = {"name": "shell", "cli_version": version, "job_prompt": "verbatim", "done_by": "exit_status"}
        self.office.agent.call("report_profiles", p_instance=self.office.instance, p_profiles=Jsonb([profile]))

    def add_host(self) -> UUID:
        """Another host of the office, with an agent."""
        agent = Caller(self.office.conninfo, uuid4())
        self.callers.append(agent)
        host, instance = uuid4(), uuid4()
        agent.call("register_host", p_id=host, p_name="other", p_owner_id=self.office.operator.user)
        self.office.operator.call("attach_host", p_office_id=self.office.id, p_host_id=host, p_repo_path="/repo")
        agent.call("renew_leases", p_instance=instance, p_take=True)
        return host
