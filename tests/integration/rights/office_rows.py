"""Two offices with one row in every table, as the rights matrix finds them."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class OfficeRows:
    """Ids of the seeded rows: `office` is the one under test, `other_office` has nothing but its own host."""

    office: UUID = field(default_factory=uuid4)
    other_office: UUID = field(default_factory=uuid4)
    viewer: UUID = field(default_factory=uuid4)
    operator: UUID = field(default_factory=uuid4)
    admin: UUID = field(default_factory=uuid4)
    host_user: UUID = field(default_factory=uuid4)
    other_host_user: UUID = field(default_factory=uuid4)
    server: UUID = field(default_factory=uuid4)
    host: UUID = field(default_factory=uuid4)
    other_host: UUID = field(default_factory=uuid4)
    instance: UUID = field(default_factory=uuid4)
    session: UUID = field(default_factory=uuid4)
    finished_command: UUID = field(default_factory=uuid4)
    waiting_command: UUID = field(default_factory=uuid4)
    claimed_command: UUID = field(default_factory=uuid4)
    claim_token: UUID = field(default_factory=uuid4)
    ready_job: UUID = field(default_factory=uuid4)
    failed_job: UUID = field(default_factory=uuid4)
    running_job: UUID = field(default_factory=uuid4)
    attempt: UUID = field(default_factory=uuid4)
    kept_session: UUID = field(default_factory=uuid4)
    epoch: int = 7

    def identity(self, name: str) -> UUID | None:
        """The user behind a column of the matrix; None is nobody."""
        users = {
            "anon": None,
            "viewer": self.viewer,
            "operator": self.operator,
            "admin": self.admin,
            "agent": self.host_user,
            "other_agent": self.other_host_user,
            "server": self.server,
        }
        return users[name]

    def insert(self, superuser: Connection[DictRow]) -> None:
        """Write all rows; row-level security does not bind the superuser."""
        self._insert_offices(superuser)
        self._insert_team(superuser)
        self._insert_session(superuser)
        self._insert_jobs(superuser)
        self._insert_pool(superuser)

    def _insert_offices(self, superuser: Connection[DictRow]) -> None:
        for office in (self.office, self.other_office):
            superuser.execute(
                "insert into offices (id, name, repo_path, created_by) values (%s, 'office', %s, %s)",
                [office, f"/repo/{office}", self.admin],
            )
        members = {self.viewer: "viewer", self.operator: "operator", self.admin: "admin", self.server: "server"}
        for user, role in members.items():
            superuser.execute("insert into office_members values (%s, %s, %s)", [self.office, user, role])
        for host, user, office in (
            (self.host, self.host_user, self.office),
            (self.other_host, self.other_host_user, self.other_office),
        ):
            superuser.execute(
                "insert into agent_hosts (id, user_id, owner_id, name, runs_for)"
                " values (%s, %s, %s, 'host', 'operators')",
                [host, user, self.admin],
            )
            superuser.execute(
                "insert into office_hosts (office_id, host_id, repo_path) values (%s, %s, '/repo')", [office, host]
            )

    def _insert_team(self, superuser: Connection[DictRow]) -> None:
        superuser.execute(
            "insert into agent_personas (office_id, role, name, persona_prompt) values (%s, 'DBA', 'DBA', 'You tune.')",
            [self.office],
        )
        superuser.execute("insert into office_agents (office_id, role, name) values (%s, 'BE', 'BE-1')", [self.office])
        superuser.execute(
            "insert into worktrees (office_id, host_id, path, branch_name) values (%s, %s, '/repo/wt', 'feature')",
            [self.office, self.host],
        )

    def _insert_jobs(self, superuser: Connection[DictRow]) -> None:
        superuser.execute(
            "insert into office_leases (office_id, epoch, instance_id, user_id, expires_at)"
            " values (%s, %s, %s, %s, now() + interval '1 hour')",
            [self.office, self.epoch, self.instance, self.server],
        )
        for job, status in ((self.ready_job, "ready"), (self.failed_job, "failed"), (self.running_job, "processing")):
            superuser.execute(
                "insert into job_queue (id, office_id, role, title, description, status, completed_at, created_by)"
                " values (%s, %s, 'BE', 'Job', 'Do.', %s, case when %s = 'failed' then now() end, %s)",
                [job, self.office, status, status, self.operator],
            )
        superuser.execute(
            "insert into job_attempts (id, job_id, office_id, attempt, round, epoch, session_id)"
            " values (%s, %s, %s, 1, 1, %s, %s)",
            [self.attempt, self.running_job, self.office, self.epoch, self.session],
        )

    def _insert_pool(self, superuser: Connection[DictRow]) -> None:
        """Its settings came with the office."""
        superuser.execute(
            "insert into pool_spares (office_id, role, warm_pool_size, wanted_by) values (%s, 'QA', 1, %s)",
            [self.office, self.operator],
        )
        superuser.execute(
            "insert into pool_decisions (office_id, role, decision, reason) values (%s, 'BE', 'cold', 'cold start')",
            [self.office],
        )
        superuser.execute(
            "insert into agent_sessions (session_id, office_id, host_id, profile, cwd, status, pool_state, created_by)"
            " values (%s, %s, %s, 'shell', '/repo', 'ready', 'kept', %s)",
            [self.kept_session, self.office, self.host, self.operator],
        )

    def _insert_session(self, superuser: Connection[DictRow]) -> None:
        superuser.execute(
            "insert into leases (host_id, instance_id, expires_at) values (%s, %s, now() + interval '1 hour')",
            [self.host, self.instance],
        )
        superuser.execute(
            "insert into agent_sessions (session_id, office_id, host_id, profile, cwd, status, created_by)"
            " values (%s, %s, %s, 'shell', '/repo', 'ready', %s)",
            [self.session, self.office, self.host, self.operator],
        )
        self._insert_command(superuser, self.finished_command, "get_output", {})
        self._insert_command(superuser, self.waiting_command, "send_prompt", {"prompt": "echo 1"})
        self._insert_command(superuser, self.claimed_command, "get_output", {})
        superuser.execute(
            "update agent_commands set status = 'processing', stage = 'claimed', claim_token = %s, claimed_by = %s"
            " where id = %s",
            [self.claim_token, self.instance, self.claimed_command],
        )
        superuser.execute(
            "update agent_commands set status = 'failed', error = 'timeout', completed_at = now() where id = %s",
            [self.finished_command],
        )
        superuser.execute(
            "insert into agent_command_results (command_id, office_id, host_id, success, error)"
            " values (%s, %s, %s, false, 'timeout')",
            [self.finished_command, self.office, self.host],
        )
        superuser.execute(
            "insert into agent_command_events (command_id, office_id, host_id, stage, actor)"
            " values (%s, %s, %s, 'queued', 'operator')",
            [self.finished_command, self.office, self.host],
        )

    def _insert_command(
        self, superuser: Connection[DictRow], command: UUID, command_type: str, payload: dict[str, str]
    ) -> None:
        superuser.execute(
            "insert into agent_commands (id, office_id, session_id, host_id, command_type, payload, urgent, created_by)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                command,
                self.office,
                self.session,
                self.host,
                command_type,
                Jsonb(payload),
                command_type != "send_prompt",
                self.operator,
            ],
        )
