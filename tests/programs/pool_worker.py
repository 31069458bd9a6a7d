"""One of several processes that do an office's jobs at once: acquires a session for each, and gives it back.

pool_worker.py CONNINFO OFFICE HOST INSTANCE AGENT_USER SERVER_USER EPOCH JOB...

Prints one line of JSON: every session it had, and the highest count of what lived and of what was used that it saw.
"""

import json
import sys
import time
from uuid import UUID, uuid4

from psycopg.rows import DictRow

from tests.integration.sql.jobs import SqlServer
from tests.integration.sql.office import Caller, SqlOffice

PAUSE_S = 0.005


class Worker:
    """The leader and the host's agent in one: what is to be made or ended, whoever comes first does."""

    def __init__(self, conninfo: str, office: UUID, host: UUID, instance: UUID, agent: UUID, server: UUID) -> None:
        self.office = SqlOffice.__new__(SqlOffice)
        self.office.conninfo, self.office.id = conninfo, office
        self.office.host, self.office.instance = host, instance
        self.office.agent = Caller(conninfo, agent)
        self.server = SqlServer(self.office, Caller(conninfo, server))
        self.sessions: list[str] = []
        self.alive = self.used = 0

    def work(self, job: UUID) -> None:
        [attempt] = self.server.call("begin_attempt", p_job_id=job)
        session = self.acquired(attempt)
        connection = self.server.caller.connection
        [row] = connection.execute("select pg_try_advisory_lock(hashtext(%s)) as alone", [str(session)]).fetchall()
        assert row["alone"], f"{session} was given to two"
        self.sessions.append(str(session))
        self.look()
        connection.execute("select pg_advisory_unlock(hashtext(%s))", [str(session)])
        self.server.finish(attempt)
        self.server.call("fill_pool")

    def acquired(self, attempt: DictRow) -> UUID:
        new_session = uuid4()
        while (decided := self.server.ask_for_session(attempt, new_session))["session_id"] is None:
            self.serve_host()
            time.sleep(PAUSE_S)
        if decided["create"]:
            payload = {"profile": "shell", "role": "BE"}
            self.server.command(attempt, new_session, "create_session", p_payload=payload)
            while not self.is_ready(new_session):
                self.serve_host()
        return UUID(decided["session_id"])

    def serve_host(self) -> None:
        for command in self.office.claim():
            status = "terminated" if command["command_type"] == "terminate" else "ready"
            self.office.complete(command, p_session={"status": status})

    def is_ready(self, session: UUID) -> bool:
        found = self.server.caller.connection.execute(
            "select 1 from agent_sessions where session_id = %s and status = 'ready'", [session]
        )
        return found.fetchone() is not None

    def look(self) -> None:
        [row] = self.server.caller.call("pool_status", p_office_id=self.office.id)
        status = row["pool_status"]
        counts = [role[kind] for role in status["roles"] for kind in ("spares", "starting", "in_use")]
        self.alive, self.used = max(self.alive, sum(counts)), max(self.used, status["used"])


def main(arguments: list[str]) -> None:
    conninfo, office, host, instance, agent, server, epoch, *jobs = arguments
    worker = Worker(conninfo, UUID(office), UUID(host), UUID(instance), UUID(agent), UUID(server))
    worker.server.epoch = int(epoch)
    for job in jobs:
        worker.work(UUID(job))
    sys.stdout.write(json.dumps({"sessions": worker.sessions, "alive": worker.alive, "used": worker.used}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
