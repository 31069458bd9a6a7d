import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from pydantic import JsonValue

from semo_office.commands import CommandRepository, OutcomeKind
from semo_office.dispatcher import CommandDispatcher
from semo_office.errors import CommandError, ErrorCode
from semo_office.link import Link
from semo_office.link.health import Health
from semo_office.link.requests import Requests
from semo_office.models import CreateSession, SendText
from tests.unit.semo_office.fakes import EPOCH, FakeSockets, ManualTime, make_credentials

OFFICE, SESSION, COMMAND = (UUID(int=n) for n in range(1, 4))


class Office:
    """Takes `create_command` and writes down what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[dict[str, JsonValue]] = []
        self.paused = False

    async def handle(self, request: httpx.Request) -> httpx.Response:
        call = json.loads(request.content)
        self.calls.append(call)
        if self.paused:
            return httpx.Response(409, json={"code": "PT409", "message": "breaker_open", "details": "Paused."})
        row = {
            "id": call["p_id"], "sequence": 1, "office_id": call["p_office_id"], "session_id": call["p_session_id"],
            "host_id": str(UUID(int=9)), "command_type": call["p_command_type"], "payload": call["p_payload"],
            "urgent": False, "status": "pending", "stage": "queued", "attempt": 0, "created_by": str(UUID(int=8)),
            "created_at": EPOCH.isoformat(), "version": 1,
        }  # fmt: skip
        return httpx.Response(200, json=row)

    @asynccontextmanager
    async def dispatcher(self) -> AsyncIterator[CommandDispatcher]:
        time = ManualTime()
        health, transport = Health(time.now), httpx.MockTransport(self.handle)
        requests = await Requests.open(make_credentials, time.timing, health.note_reached, transport=transport)
        async with Link(requests, health, time.timing, FakeSockets().open) as link:
            yield CommandDispatcher(CommandRepository(link), OFFICE)


@pytest.mark.parametrize("prompt", ["", " \n\t", "\x00", "x" * 262_145, "가" * 87_382, "\ud800"])
async def test_a_prompt_that_can_not_be_sent_never_leaves_the_client(prompt: str) -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        with pytest.raises(CommandError) as caught:
            await dispatcher.dispatch_send_prompt(SESSION, prompt)
    assert caught.value.code is ErrorCode.INVALID_PAYLOAD
    assert office.calls == []


async def test_the_largest_prompt_is_counted_in_bytes() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        await dispatcher.dispatch_send_prompt(SESSION, "가" * 87_381)
    assert len(office.calls) == 1


async def test_nul_is_left_out_of_a_prompt_because_the_database_can_not_hold_it() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        await dispatcher.dispatch_send_prompt(SESSION, "a\x00b\x1b")
    assert office.calls[0]["p_payload"] == {"prompt": "ab\x1b"}


@pytest.mark.parametrize(
    "request_", [SendText(text="", enter=False), SendText(text="", raw=True), SendText(text="\x00", raw=True)]
)
async def test_text_with_nothing_to_type_never_leaves_the_client(request_: SendText) -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        with pytest.raises(CommandError) as caught:
            await dispatcher.dispatch_send_text(SESSION, request_)
    assert caught.value.code is ErrorCode.INVALID_PAYLOAD
    assert office.calls == []


async def test_an_enter_alone_can_be_sent() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        await dispatcher.dispatch_send_text(SESSION, SendText(text="", answer=True))
    assert office.calls[0]["p_payload"] == {"text": "", "answer": True, "raw": False, "enter": True}


async def test_each_dispatch_writes_the_command_of_its_name() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        await dispatcher.dispatch_create_session(CreateSession(profile="shell"), session_id=SESSION)
        await dispatcher.dispatch_send_prompt(SESSION, "ls")
        await dispatcher.dispatch_send_text(SESSION, SendText(text="y"))
        await dispatcher.dispatch_get_output(SESSION)
        await dispatcher.dispatch_cancel(SESSION)
        await dispatcher.dispatch_terminate(SESSION)
    kinds = ["create_session", "send_prompt", "send_text", "get_output", "cancel", "terminate"]
    assert [call["p_command_type"] for call in office.calls] == kinds
    assert {(call["p_office_id"], call["p_session_id"]) for call in office.calls} == {(str(OFFICE), str(SESSION))}


async def test_a_new_session_gets_an_id_from_the_client() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        outcome = await dispatcher.dispatch_create_session(CreateSession(profile="shell"))
    assert outcome.kind is OutcomeKind.SENT
    assert str(outcome.command.session_id) == office.calls[0]["p_session_id"]


async def test_the_same_id_is_sent_when_the_caller_names_it() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        await dispatcher.dispatch_send_prompt(SESSION, "ls", command_id=COMMAND, start_by_ms=5)
    assert (office.calls[0]["p_id"], office.calls[0]["p_start_by_ms"]) == (str(COMMAND), 5)


async def test_while_a_cli_is_paused_one_of_many_asks_and_only_what_starts_it_is_held_back() -> None:
    office = Office()
    async with office.dispatcher() as dispatcher:
        office.paused = True
        for _ in range(5):
            with pytest.raises(CommandError, match="Paused") as caught:
                await dispatcher.dispatch_create_session(CreateSession(profile="claude"))
            assert caught.value.code is ErrorCode.BREAKER_OPEN
        with pytest.raises(CommandError, match="Paused"):
            await dispatcher.dispatch_send_prompt(SESSION, "make", job_profile="claude")
        assert [call["p_command_type"] for call in office.calls] == ["create_session"]
        office.paused = False
        await dispatcher.dispatch_send_prompt(SESSION, "ls")
        await dispatcher.dispatch_send_text(SESSION, SendText(text="y", answer=True))
        await dispatcher.dispatch_cancel(SESSION)
        await dispatcher.dispatch_terminate(SESSION)
        assert len(office.calls) == 5
