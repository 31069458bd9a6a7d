"""Makes a plain PostgreSQL look like Supabase to the SQL that runs on it."""

from importlib.resources import files

import psycopg

from semo_hub.errors import PostgresError

_DEADLINE_MS = 30_000


async def bootstrap(conninfo: str) -> None:
    """Run bootstrap.sql as the superuser of `conninfo`, in one transaction; a second run changes nothing.

    Raises PostgresError.
    """
    script = files("semo_hub").joinpath("bootstrap.sql").read_bytes()
    try:
        async with await psycopg.AsyncConnection.connect(conninfo) as connection:
            await connection.execute("select set_config('statement_timeout', %s, true)", [str(_DEADLINE_MS)])
            await connection.execute(script)
    except psycopg.Error as err:
        raise PostgresError(f"the Supabase roles and schemas could not be made: {err}") from err
