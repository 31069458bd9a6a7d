"""An office in the real database, and people and agents who call its functions as the gateway would."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import Connection, sql
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

JSON_ARGUMENTS = {"p_payload", "p_evidence", "p_result", "p_session", "p_jobs", "p_persona"}


@dataclass
class Caller:
    """One identity with a connection of its own; each call is one transaction under its claims."""

    conninfo: str
    user: UUID

    def __post_init__(self) -> None:
        self.connection: Connection[DictRow] = psycopg.connect(self.conninfo, row_factory=dict_row, autocommit=True)

    def call(self, function: str, **arguments: object) -> list[DictRow]:
        """Call a function of schema public with named arguments; the rows it returns."""
        named = sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in arguments)
        values = {k: Jsonb(v) if k in JSON_ARGUMENTS and v is not None else v for k, v in arguments.items()}
        with self.connection.transaction():
            self.become()
            statement = sql.SQL("select * from {}({})").format(sql.Identifier("public", function), named)
            return self.connection.execute(statement, values).fetchall()

    def become(self) -> None:
        claims = json.dumps({"role": "authenticated", "sub": str(self.user)})
        self.connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        self.connection.execute("set local role authenticated")


class SqlOffice:
    """An operator, a host and sessions of a fresh office."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.operator = Caller(conninfo, uuid4())
        self.agent = Caller(conninfo, uuid4())
        self.superuser: Connection[DictRow] = psycopg.connect(conninfo, row_factory=dict_row, autocommit=True)
        self.id: UUID = uuid4()
        self.host = uuid4()
        self.instance = uuid4()
        self.operator.call("create_office", p_id=self.id, p_name="office", p_repo_path=f"/repo/{self.id}")
        self.agent.call("register_host", p_id=self.host, p_name="host", p_owner_id=self.operator.user)
        self.operator.call("attach_host", p_office_id=self.id, p_host_id=self.host, p_repo_path="/repo")
        self.agent.call("renew_leases", p_instance=self.instance, p_take=True)

    @classmethod
    def join(cls, other: "SqlOffice") -> "SqlOffice":
        """The same office and identities over connections of their own, for another thread."""
        joined = cls.__new__(cls)
        joined.__dict__.update(other.__dict__)
        joined.operator = Caller(other.conninfo, other.operator.user)
        joined.agent = Caller(other.conninfo, other.agent.user)
        joined.superuser = psycopg.connect(other.conninfo, row_factory=dict_row, autocommit=True)
        return joined

    def close(self) -> None:
        for connection in (self.operator.connection, self.agent.connection, self.superuser):
            connection.close()

    def new_session(self, status: str = "ready") -> UUID:
        """A session that the agent has reported as `status`."""
        created = self.send("create_session", {"profile": "shell"})
        [claimed] = self.claim()
        report = {"status": status, "status_source": "test"}
        self.complete(claimed, p_session=report)
        session: UUID = created["session_id"]
        return session

    def send(self, command_type: str, payload: dict[str, Any], session: UUID | None = None, **more: object) -> DictRow:
        arguments = {"p_id": uuid4(), "p_session_id": session, **more}
        [command] = self.operator.call(
            "create_command", p_office_id=self.id, p_command_type=command_type, p_payload=payload, **arguments
        )
        return command

    def prompt(self, session: UUID, text: str = "echo 1", **more: object) -> DictRow:
        return self.send("send_prompt", {"prompt": text}, session, **more)

    def claim(self, limit: int = 20) -> list[DictRow]:
        """The commands that were handed out, as rows of `agent_commands`."""
        with self.agent.connection.transaction():
            self.agent.become()
            return self.agent.connection.execute(
                "select (command).* from claim_commands(%s, %s)", [self.instance, limit]
            ).fetchall()

    def report(self, command: DictRow, stage: str, **more: object) -> None:
        self.agent.call(
            "report_stage", p_command_id=command["id"], p_claim_token=command["claim_token"], p_stage=stage, **more
        )

    def complete(self, command: DictRow, *, success: bool = True, **more: object) -> str:
        token = more.pop("p_claim_token", command["claim_token"])
        [row] = self.agent.call(
            "complete_command", p_command_id=command["id"], p_claim_token=token, p_success=success, **more
        )
        return str(row["complete_command"]["kept"])

    def command(self, command_id: UUID) -> DictRow:
        [row] = self.superuser.execute("select * from agent_commands where id = %s", [command_id]).fetchall()
        return row

    def session(self, session_id: UUID) -> DictRow:
        [row] = self.superuser.execute("select * from agent_sessions where session_id = %s", [session_id]).fetchall()
        return row

    def stages(self, command_id: UUID) -> list[str]:
        rows = self.superuser.execute(
            "select stage from agent_command_events where command_id = %s order by id", [command_id]
        )
        return [row["stage"] for row in rows]

    def lose_host(self, seconds: int = 1) -> None:
        """The lease ended that long ago."""
        self.superuser.execute(
            "update leases set expires_at = now() - make_interval(secs => %s) where host_id = %s", [seconds, self.host]
        )
