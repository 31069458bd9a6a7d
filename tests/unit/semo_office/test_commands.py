import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from pydantic import JsonValue

from semo_office.commands import (
    EXPIRE_AFTER_SLEEP_S,
    EXPIRE_EVERY_S,
    LOOK_AGAIN_S,
    POLL_FIRST_S,
    POLL_SLOWEST_S,
    CommandRepository,
    Outcome,
    OutcomeKind,
)
from semo_office.errors import CommandError, ErrorCode, NotAuthenticated, WaitEnded
from semo_office.link import Link
from semo_office.link.health import Health
from semo_office.link.requests import Requests
from tests.unit.semo_office.fakes import EPOCH, FakeSockets, ManualTime, make_credentials, settle

OFFICE, SESSION, COMMAND, HOST = (UUID(int=n) for n in range(1, 5))


class Office:
    """One command and its session, as REST tells of them."""

    def __init__(self) -> None:
        self.time = ManualTime()
        self.sockets = FakeSockets()
        self.calls: Counter[str] = Counter()
        self.command_type = "send_prompt"
        self.status = "processing"
        self.session_status = "executing"
        self.away = False
        self.refused = False

    async def handle(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[-1]
        self.calls[name] += 1
        if self.away:
            raise httpx.ConnectError("refused")
        if self.refused:
            return httpx.Response(401, json={"code": "PGRST303", "message": "JWT expired"})
        if name == "expire_commands":
            return httpx.Response(200, json=0)
        if name == "ring_office":
            await self.sockets.ring()
            return httpx.Response(204)
        assert json.loads(request.content) == {"p_command_id": str(COMMAND)}
        return httpx.Response(200, json=self.outcome())

    def outcome(self) -> dict[str, JsonValue]:
        at = EPOCH.isoformat()
        command: dict[str, JsonValue] = {
            "id": str(COMMAND), "sequence": 1, "office_id": str(OFFICE), "session_id": str(SESSION),
            "host_id": str(HOST), "command_type": self.command_type, "payload": {}, "urgent": False,
            "status": self.status, "stage": "accepted", "attempt": 1, "created_by": str(HOST), "created_at": at,
            "version": 1,
        }  # fmt: skip
        session: dict[str, JsonValue] = {
            "session_id": str(SESSION), "office_id": str(OFFICE), "host_id": str(HOST), "role": "shell",
            "profile": "shell", "cwd": "/", "status": self.session_status, "status_source": "hook",
            "status_as_of": at, "created_at": at, "last_activity_at": at, "version": 1,
        }  # fmt: skip
        result: JsonValue = None
        if self.status == "completed":
            result = {"id": str(HOST), "command_id": str(COMMAND), "success": True, "result": {}, "created_at": at}
        return {"command": command, "result": result, "events": [], "session": session}

    def hint_result(self) -> None:
        self.sockets.last.hint("agent_command_results", str(COMMAND), 2)

    @asynccontextmanager
    async def repository(self) -> AsyncIterator[CommandRepository]:
        health, transport = Health(self.time.now), httpx.MockTransport(self.handle)
        requests = await Requests.open(make_credentials, self.time.timing, health.note_reached, transport=transport)
        async with Link(requests, health, self.time.timing, self.sockets.open) as link:
            link.subscribe(OFFICE)
            await settle()
            yield CommandRepository(link)


async def begin_wait(
    commands: CommandRepository, timeout: float | None = None, *, until_input: bool = True
) -> asyncio.Task[Outcome]:
    task = asyncio.create_task(commands.wait_for_outcome(COMMAND, timeout, until_input=until_input))
    await settle()
    return task


async def test_a_hint_settles_a_wait_at_once() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        office.status = "completed"
        office.hint_result()
        assert (await waiting).kind is OutcomeKind.FINISHED
        assert office.time.elapsed == 0


async def test_a_hint_that_outran_its_change_is_looked_after_once_more() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        office.hint_result()
        await settle()
        office.status = "completed"
        await office.time.advance(LOOK_AGAIN_S)
        assert (await waiting).kind is OutcomeKind.FINISHED


async def test_after_a_hint_that_led_to_nothing_the_poll_is_as_slow_as_before() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        await office.time.advance(60.0)
        office.hint_result()
        await office.time.advance(LOOK_AGAIN_S)
        before = office.calls["command_outcome"]
        await office.time.advance(60.0)
        assert office.calls["command_outcome"] - before == 60.0 / POLL_SLOWEST_S
        office.status = "completed"
        office.hint_result()
        await waiting


async def test_a_result_that_was_there_before_costs_one_request() -> None:
    office = Office()
    office.status = "completed"
    async with office.repository() as commands:
        assert (await commands.wait_for_outcome(COMMAND, None)).kind is OutcomeKind.FINISHED
        assert office.calls == {"command_outcome": 1}


async def test_without_hints_the_poll_finds_the_result() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        office.status = "completed"
        await office.time.advance(POLL_FIRST_S)
        assert (await waiting).kind is OutcomeKind.FINISHED


async def test_the_poll_grows_slow() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        await office.time.advance(60.0)
        before = office.calls["command_outcome"]
        await office.time.advance(60.0)
        assert office.calls["command_outcome"] - before == 60.0 / POLL_SLOWEST_S
        office.status = "completed"
        office.hint_result()
        await waiting


async def test_whoever_waits_ends_what_is_overdue_now_and_then() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        await office.time.advance(POLL_FIRST_S)
        assert office.calls["expire_commands"] == 0
        await office.time.advance(60.0)
        assert 60.0 / EXPIRE_EVERY_S / 2 <= office.calls["expire_commands"] <= 60.0 / EXPIRE_EVERY_S
        office.status = "completed"
        office.hint_result()
        await waiting


async def test_after_a_sleep_of_the_machine_a_waiter_ends_nothing_for_a_while() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        await office.time.advance(60.0)
        before = office.calls["expire_commands"]
        office.time.slept = 3600.0
        await office.time.advance(EXPIRE_AFTER_SLEEP_S)
        assert office.calls["expire_commands"] == before
        await office.time.advance(POLL_SLOWEST_S + EXPIRE_EVERY_S)
        assert office.calls["expire_commands"] > before
        office.status = "completed"
        office.hint_result()
        await waiting


async def test_a_wait_outlasts_an_office_that_is_away() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands)
        office.away = True
        await office.time.advance(120.0)
        assert not waiting.done()
        office.away, office.status = False, "completed"
        await office.time.advance(POLL_SLOWEST_S)
        assert (await waiting).kind is OutcomeKind.FINISHED


async def test_a_token_that_is_refused_ends_the_wait() -> None:
    office = Office()
    async with office.repository() as commands:
        task = asyncio.create_task(commands.wait_for_outcome(COMMAND, None))
        await settle()
        office.refused = True
        office.hint_result()
        with pytest.raises(NotAuthenticated):
            await task


async def test_a_wait_ends_at_its_own_time_as_a_timeout_of_the_caller() -> None:
    office = Office()
    async with office.repository() as commands:
        waiting = await begin_wait(commands, 7.0)
        await office.time.advance(6.9)
        assert not waiting.done()
        await office.time.advance(0.2)
        with pytest.raises(WaitEnded, match="goes on") as caught:
            await waiting
        assert isinstance(caught.value, CommandError)
        assert caught.value.code is ErrorCode.TIMEOUT


@pytest.mark.parametrize(
    ("command_type", "until_input", "kind"),
    [
        ("send_prompt", True, OutcomeKind.WAITING_INPUT),
        ("create_session", True, OutcomeKind.WAITING_INPUT),
        ("send_text", True, OutcomeKind.FINISHED),
        ("cancel", True, OutcomeKind.FINISHED),
        ("send_prompt", False, OutcomeKind.FINISHED),
    ],
)
async def test_a_question_ends_the_wait_of_what_it_holds_up(
    command_type: str, until_input: bool, kind: OutcomeKind
) -> None:
    office = Office()
    office.command_type = command_type
    async with office.repository() as commands:
        waiting = await begin_wait(commands, until_input=until_input)
        office.session_status = "waiting_input"
        office.sockets.last.hint("agent_sessions", str(SESSION), 3)
        await settle()
        office.status = "completed"
        office.hint_result()
        assert (await waiting).kind is kind
