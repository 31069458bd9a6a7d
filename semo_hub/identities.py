"""The three users of one machine: the operator, the office server and the agent's host."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import structlog

from semo_hub.auth import Authority, Keys
from semo_hub.errors import BrokenFile, PostgresError
from semo_hub.private_files import make_private_folder, read_json, write_json
from semo_hub.shutdown import Shutdown

NAMES = ("operator", "server", "host")
TOKEN_TTL = 7 * 86400.0  # s
RENEW_EVERY = 12 * 3600.0  # s

_LOOK_EVERY = 60.0  # s

log = structlog.get_logger("semo_hub.identities")


@dataclass(frozen=True)
class Identities:
    """User id (uuid text) by name; the same ones for as long as the state folder lives."""

    user_ids: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> "Identities":
        """Read the user ids from `path`, made there on the first call.

        Raises BrokenFile when the file holds something else; it is never overwritten.
        """
        remedy = "restore it, or remove it to begin with new users (they have no rights in offices made before)"
        content = read_json(path, remedy=remedy)
        if content is None:
            content = {name: str(uuid.uuid4()) for name in NAMES}
            write_json(path, content)
        if set(content) != set(NAMES) or not all(_is_uuid(value) for value in content.values()):
            raise BrokenFile(f"{path} does not hold the user ids of {', '.join(NAMES)}: {remedy}.")
        return cls(content)

    async def register(self, conninfo: str) -> None:
        """Make sure that the database knows these users; `conninfo` is the superuser's.

        Raises PostgresError.
        """
        rows = [(user_id, f"{name}@semo.local") for name, user_id in self.user_ids.items()]
        try:
            async with await psycopg.AsyncConnection.connect(conninfo) as connection:
                # After identities.json was removed the old users keep their rows but give up their addresses.
                await connection.execute(
                    "update auth.users set email = null where email = any(%s) and id <> all(%s::uuid[])",
                    [[email for _, email in rows], [user_id for user_id, _ in rows]],
                )
                await connection.cursor().executemany(
                    "insert into auth.users (id, aud, role, email)"
                    " values (%s, 'authenticated', 'authenticated', %s) on conflict (id) do nothing",
                    rows,
                )
        except psycopg.Error as err:
            raise PostgresError(f"the users of this machine could not be registered: {err}") from err


class Credentials:
    """The files by which the processes of this machine sign in, `<folder>/<name>.json`."""

    def __init__(
        self,
        folder: Path,
        url: str,
        keys: Keys,
        authority: Authority,
        identities: Identities,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._url = url
        self._publishable_key = keys.publishable_key
        self._authority = authority
        self._identities = identities
        self._now = now

    def check(self) -> None:
        """Raise BrokenFile when a credentials file is not JSON: a disk may be failing."""
        for name in NAMES:
            read_json(self._folder / f"{name}.json", remedy="remove it, the hub writes a new one")

    def write(self) -> None:
        """Write all of them with new tokens, mode 0600, each atomically."""
        make_private_folder(self._folder)
        for name, user_id in self._identities.user_ids.items():
            write_json(
                self._folder / f"{name}.json",
                {
                    "url": self._url,
                    "publishable_key": self._publishable_key,
                    "user_id": user_id,
                    "access_token": self._authority.mint(sub=user_id, ttl=TOKEN_TTL),
                    "expires_at": int(self._now() + TOKEN_TTL),
                },
            )

    async def keep_fresh(self, shutdown: Shutdown) -> None:
        """Write them again long before the tokens expire, until `shutdown`."""
        written = self._now()
        # By the wall clock, looked at often: a timer of hours would not count the time a laptop sleeps.
        while not await shutdown.within(_LOOK_EVERY):
            if self._now() - written >= RENEW_EVERY:
                await asyncio.to_thread(self.write)
                written = self._now()
                log.info("renewed the credentials of this machine")


def _is_uuid(text: object) -> bool:
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text
    except ValueError:
        return False
