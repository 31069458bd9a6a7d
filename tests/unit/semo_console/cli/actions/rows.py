"""Rows as the office would have them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from semo_office.models import AgentCommand, Office, SessionInfo, SessionStatus

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OFFICE_ID = UUID(int=1)


def session(
    beginning: str,
    *,
    role: str = "shell",
    status: SessionStatus = SessionStatus.READY,
    active_at: int = 0,
    reason: str | None = None,
) -> SessionInfo:
    """active_at: seconds after noon."""
    return SessionInfo.model_validate(
        {
            "session_id": beginning.ljust(8, "0") + "-0000-4000-8000-000000000000",
            "office_id": OFFICE_ID,
            "host_id": UUID(int=2),
            "role": role,
            "profile": "shell",
            "cwd": "/repo",
            "status": status,
            "status_source": "test",
            "status_as_of": NOON,
            "reason": reason,
            "created_at": NOON,
            "last_activity_at": NOON + timedelta(seconds=active_at),
            "version": 1,
        }
    )


def office(name: str, repo_path: str) -> Office:
    return Office(id=UUID(int=sum(map(ord, name + repo_path))), name=name, repo_path=repo_path, version=1)


def command(*, status: str, stage: str) -> AgentCommand:
    return AgentCommand.model_validate(
        {
            "id": UUID(int=7),
            "sequence": 1,
            "office_id": OFFICE_ID,
            "session_id": session("aa").session_id,
            "host_id": UUID(int=2),
            "command_type": "send_prompt",
            "payload": {"prompt": "echo"},
            "urgent": False,
            "status": status,
            "stage": stage,
            "attempt": 1,
            "created_by": UUID(int=3),
            "created_at": NOON,
            "version": 1,
        }
    )
