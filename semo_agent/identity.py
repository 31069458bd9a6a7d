"""Which host this is, whose it is, and that only one agent process acts for it on this machine."""

import fcntl
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict

from semo_agent.errors import ConfigurationError
from semo_office.locations import StateFolder, read_json, write_json

OWNER_VARIABLE = "SEMO_OWNER_ID"


class HostRecord(BaseModel):
    """`agent/host.json`: made once, so that sessions find their host again."""

    model_config = ConfigDict(frozen=True)

    host_id: UUID


class _Person(BaseModel):
    """What the agent reads of the operator's credentials: who, never the token."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID


def host_id_of(state: StateFolder) -> UUID:
    """The id of this host, made at the first start. Blocking. Raises the office's ConfigurationError."""
    path = state.agent / "host.json"
    if not path.exists():
        write_json(path, HostRecord(host_id=uuid4()))
    return read_json(path, HostRecord).host_id


def owner_id_of(state: StateFolder, environment: Mapping[str, str]) -> UUID:
    """Whose machine this is: `SEMO_OWNER_ID`, else the operator of the hub here. Raises ConfigurationError."""
    named = environment.get(OWNER_VARIABLE)
    if named is None:
        return read_json(state.credentials_of("operator"), _Person).user_id
    try:
        return UUID(named)
    except ValueError as err:
        raise ConfigurationError(f"{OWNER_VARIABLE} must be the user id of the host's owner, a UUID.") from err


def host_name() -> str:
    return platform.node() or "host"


@contextmanager
def only_agent(folder: Path) -> Iterator[None]:
    """Hold the lock of this host's agent. Raises ConfigurationError when another process holds it."""
    with (folder / "lock").open("a") as file:
        (folder / "lock").chmod(0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            sentence = f"An agent runs for {folder} already. `semo status` shows it, `semo down` stops it."
            raise ConfigurationError(sentence) from err
        yield
