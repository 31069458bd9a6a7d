"""The hub as a process: start, stop, crash and the mistakes of whoever starts it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest

from semo_hub.postgres import Postgres
from tests.integration.hub.conftest import make_user, signed_in
from tests.integration.hub.test_realtime import admit, listen
from tests.integration.hub_fixture import RunningHub, end_hub, launch, running_hub, start_hub

SQL = Path(__file__).parent / "sql"


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has waited for does not."""
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip()[:1] not in ("", "Z")


def refusal(state_dir: Path, *options: str) -> str:
    """What a hub that can't start says; it is one sentence, and the exit status is 1."""
    process = launch(state_dir, *options)
    assert process.wait(20) == 1
    lines = [line for line in (state_dir / "hub.log").read_text().splitlines() if not line.startswith("{")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_the_same_keys_users_and_rows_are_there_after_a_restart(state: Path) -> None:
    async with running_hub(state, SQL) as first:
        with psycopg.connect(first.superuser_conninfo, autocommit=True) as connection:
            user_id = make_user(connection)
        operator = json.loads((state / "credentials" / "operator.json").read_text())
    assert not (state / "run" / "hub.json").exists()
    async with running_hub(state, SQL) as second:
        with psycopg.connect(second.superuser_conninfo) as connection:
            row = connection.execute("select count(*) from auth.users where id = %s", [user_id]).fetchone()
        again = json.loads((state / "credentials" / "operator.json").read_text())
    assert row == (1,)
    assert (first.keys.jwt_secret, operator["user_id"]) == (second.keys.jwt_secret, again["user_id"])


async def test_a_stop_is_clean_and_quick_with_open_sockets(state: Path) -> None:
    async with running_hub(state, SQL) as hub, signed_in(hub, str(uuid.uuid4())) as client:
        await listen(client, "open", private=False).subscribe()
        postgres = hub.postgres_pid
        began = time.monotonic()
        assert await asyncio.to_thread(hub.stop) == 0
        assert time.monotonic() - began < 3
    assert not is_alive(postgres)
    assert "Traceback" not in hub.log


async def test_a_killed_postgres_comes_back_with_rest_and_realtime(state: Path) -> None:
    async with running_hub(state, SQL) as hub:
        with psycopg.connect(hub.superuser_conninfo, autocommit=True) as connection:
            user_id, topic = make_user(connection), f"room:{uuid.uuid4()}"
            admit(connection, topic, user_id, may_write=False)
        async with signed_in(hub, user_id) as client:
            heard = listen(client, topic)
            await heard.subscribe()
            os.kill(hub.postgres_pid, signal.SIGKILL)
            await wait_until_healthy(hub)
            assert (await client.rpc("one").execute()).data == 1
            async with asyncio.timeout(10):
                while heard.messages.empty():
                    # Sent again until the stream is back: what is sent before that is lost, as on Supabase.
                    await client.rpc("announce", {"topic": topic, "body": {"n": 1}}).execute()


async def wait_until_healthy(hub: RunningHub) -> None:
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False) as http, asyncio.timeout(20):
        # The dead server must have been noticed first, or the old one would be taken for the new.
        while "postgres died" not in hub.log or (await http.get("/healthz")).status_code != 200:
            await asyncio.to_thread(time.sleep, 0.01)


def test_postgres_dies_with_a_killed_hub_and_the_next_hub_starts(state: Path) -> None:
    first = start_hub(state, SQL)
    postgres = first.postgres_pid
    first.process.kill()
    first.process.wait()
    second = start_hub(state, SQL)
    try:
        assert second.postgres_pid != postgres
        assert not is_alive(postgres)
    finally:
        end_hub(second)


async def test_a_postgres_that_was_left_running_is_replaced(state: Path) -> None:
    left_over = Postgres(state / "postgres")
    await left_over.start()
    async with running_hub(state, SQL) as hub:
        assert hub.postgres_pid != left_over.pid
        assert not is_alive(left_over.pid)
        assert "an earlier hub left behind" in hub.log
    await left_over.stop()


def test_a_pid_file_that_names_a_stranger_does_not_block_the_start(state: Path) -> None:
    end_hub(start_hub(state, SQL))
    pid_file = state / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{state}/postgres/data\n1700000000\n5432\n")
    hub = start_hub(state, SQL)
    try:
        assert hub.postgres_pid != os.getpid()
    finally:
        end_hub(hub)
    assert is_alive(os.getpid())


def test_a_second_hub_on_the_same_state_is_refused(state: Path) -> None:
    hub = start_hub(state, SQL)
    try:
        assert "another hub uses" in refusal(state, "--port", "0", "--sql-dir", str(SQL))
    finally:
        end_hub(hub)


def test_a_port_in_use_is_named(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(state, "--port", str(port), "--sql-dir", str(SQL))
    assert said.startswith(f"port {port} is in use")
    assert "--port" in said


@pytest.mark.parametrize("name", ["hub/keys.json", "hub/identities.json", "credentials/host.json"])
def test_corrupt_json_is_named_and_left_alone(state: Path, name: str) -> None:
    broken = state / name
    broken.parent.mkdir(parents=True)
    broken.write_text('{"half')
    said = refusal(state, "--port", "0", "--sql-dir", str(SQL))
    assert said.startswith(f"{broken} is not valid JSON: ")
    assert broken.read_text() == '{"half'


def test_data_of_another_postgres_is_refused(state: Path) -> None:
    data = state / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("13\n")
    assert f"{data} was made by PostgreSQL 13 and this is" in refusal(state, "--port", "0", "--sql-dir", str(SQL))


def test_a_state_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = subprocess.run(
        [sys.executable, "-m", "semo_hub", "--state-dir", str(tmp_path / "file" / "state"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert process.returncode == 1
    assert "cannot be written (Not a directory): choose another state folder with --state-dir" in process.stderr


def test_a_state_folder_with_a_long_name_works(tmp_path: Path) -> None:
    state = tmp_path / ("long-" * 20) / ("name-" * 20)
    hub = start_hub(state, SQL)
    try:
        with psycopg.connect(hub.superuser_conninfo) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        end_hub(hub)


def test_a_changed_migration_is_refused_by_name(state: Path, tmp_path: Path) -> None:
    sql = tmp_path / "sql"
    sql.mkdir()
    (sql / "001_first.sql").write_text("create table public.first (id int primary key);")
    end_hub(start_hub(state, sql))
    (sql / "001_first.sql").write_text("create table public.first (id bigint primary key);")
    (state / "hub.log").unlink()
    assert "001_first.sql was changed after it had been applied" in refusal(state, "--port", "0", "--sql-dir", str(sql))
