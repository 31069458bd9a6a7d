"""Jobs of an office in the real database, and a server that leads it."""

from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from tests.integration.sql.office import Caller, SqlOffice


class SqlServer:
    """A server process of an office; another one of the same office may have the same identity."""

    def __init__(self, office: SqlOffice, caller: Caller) -> None:
        self.office = office
        self.caller = caller
        self.instance = uuid4()
        self.epoch = 0

    def take(self, ttl_ms: int = 10_000) -> dict[str, Any]:
        [row] = self.caller.call("take_office", p_office_id=self.office.id, p_instance=self.instance, p_ttl_ms=ttl_ms)
        lease: dict[str, Any] = row["take_office"]
        if lease["instance_id"] == str(self.instance):
            self.epoch = lease["epoch"]
        return lease

    def call(self, function: str, **arguments: object) -> list[DictRow]:
        """A function of the leader, in this server's own term."""
        return self.caller.call(function, p_office_id=self.office.id, p_epoch=self.epoch, **arguments)

    def begin(self, job: DictRow) -> DictRow:
        [attempt] = self.call("begin_attempt", p_job_id=job["id"])
        return attempt

    def ask_for_session(
        self, attempt: DictRow, new_session: UUID | None = None, profile: str = "shell"
    ) -> dict[str, Any]:
        """What the pool decides for this attempt, and why."""
        [row] = self.call(
            "acquire_session",
            p_attempt_id=attempt["id"],
            p_profile=profile,
            p_new_session_id=new_session or uuid4(),
        )
        decided: dict[str, Any] = row["acquire_session"]
        return decided

    def acquire(self, attempt: DictRow, new_session: UUID | None = None) -> UUID:
        """The session that the attempt gets."""
        return UUID(self.ask_for_session(attempt, new_session)["session_id"])

    def command(self, attempt: DictRow, session: UUID, command_type: str, **more: Any) -> DictRow:
        arguments = {"p_id": uuid4(), "p_payload": {"prompt": "echo 1"}, **more}
        [command] = self.call(
            "create_job_command",
            p_attempt_id=attempt["id"],
            p_session_id=session,
            p_command_type=command_type,
            **arguments,
        )
        return command

    def finish(self, attempt: DictRow, status: str = "done", **more: object) -> DictRow:
        [job] = self.call("finish_attempt", p_attempt_id=attempt["id"], p_status=status, **more)
        return job


class SqlJobs:
    """An office with a server that leads it."""

    def __init__(self, office: SqlOffice) -> None:
        self.office = office
        self.callers: list[Caller] = []
        self.server_user = uuid4()
        office.operator.call("admit_server", p_office_id=office.id, p_user_id=self.server_user)
        self.server = self.new_server()
        self.server.take()

    def new_server(self) -> SqlServer:
        self.callers.append(Caller(self.office.conninfo, self.server_user))
        return SqlServer(self.office, self.callers[-1])

    def want_spares(self, size: int) -> None:
        spares = Jsonb([{"role": "BE", "warm_pool_size": size}])
        self.office.operator.call("set_pool", p_office_id=self.office.id, p_spares=spares)

    def change_office(self, function: str) -> DictRow:
        [row] = self.office.operator.call(function, p_office_id=self.office.id)
        return row

    def close(self) -> None:
        for caller in self.callers:
            caller.connection.close()

    def add(self, title: str = "job", *, depends_on: list[UUID] | None = None, **more: object) -> DictRow:
        arguments = {"p_id": uuid4(), "p_role": "BE", "p_description": f"echo {title}", **more}
        [job] = self.office.operator.call(
            "create_job", p_office_id=self.office.id, p_title=title, p_depends_on=depends_on or [], **arguments
        )
        return job

    def done(self, job: DictRow) -> None:
        self.server.finish(self.server.begin(job))

    def operate(self, function: str, job: DictRow) -> DictRow:
        [changed] = self.office.operator.call(function, p_id=job["id"])
        return changed

    def status(self, job: DictRow) -> str:
        [row] = self.office.superuser.execute("select status from job_queue where id = %s", [job["id"]]).fetchall()
        status: str = row["status"]
        return status

    def let_lease_run_out(self) -> None:
        self.office.superuser.execute(
            "update office_leases set expires_at = now() - interval '1 second' where office_id = %s", [self.office.id]
        )

    def new_session(self, role: str = "BE") -> UUID:
        """A spare of the pool that is ready."""
        session = self.own_session(role)
        self.office.superuser.execute("update agent_sessions set pool_state = 'spare' where session_id = %s", [session])
        return session

    def own_session(self, role: str = "BE") -> UUID:
        """A person's own session that is ready."""
        created = self.office.send("create_session", {"profile": "shell", "role": role})
        [claimed] = self.office.claim()
        self.office.complete(claimed, p_session={"status": "ready", "status_source": "test"})
        session: UUID = created["session_id"]
        return session
