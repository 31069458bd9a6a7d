"""The API against its own OpenAPI document: whatever is sent, the answer is one that the document has.

`SEMO_SCHEMA_CASES`: how many requests are made up, all operations together.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import JsonValue
from schemathesis.specs.openapi.checks import positive_data_acceptance

from semo_office.api import ApiServer, Listener
from semo_office.api.app import make_routes
from semo_office.jobs import JobService, NewJob
from semo_office.locations import StateFolder
from semo_office.models import CommandType
from semo_office.stopping import Stop
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import READY, Party, party_on, token_of

pytestmark = pytest.mark.timeout(600)

SETUP_S = 20.0
MADE_UP = int(os.environ.get("SEMO_SCHEMA_CASES", "150"))
# Every limit of every value, one by one, takes a while: only where more is asked for.
CONFIG = schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": MADE_UP > 500}}})
# Events go on for ever; test_api.py reads them.
SCHEMA = schemathesis.openapi.from_dict(make_routes().openapi(), config=CONFIG).exclude(path_regex="/events$")
CASES = math.ceil(MADE_UP / sum(1 for _ in SCHEMA.get_all_operations()))
PAGE: dict[str, JsonValue] = {
    "output": "",
    "epoch": 0,
    "first_line": 0,
    "lines": [],
    "next_line": 0,
    "cursor": [0, 0],
    "alternate": False,
}
# No document can say that a text must not be blank, or that two ids must be the same.
UNTRUE = positive_data_acceptance


@dataclass
class Target:
    """A server in a thread of its own, and what exists in its office."""

    url: str = ""
    token: str = ""
    ids: dict[str, str] | None = None


@pytest.fixture(scope="module")
def target(office_hub: RunningHub) -> Iterator[Target]:
    target, stop, loop, ready = Target(), Stop(), asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(office_hub, target, stop, ready),))
    thread.start()
    try:
        assert ready.wait(SETUP_S)
        yield target
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SETUP_S)
        loop.close()


async def _serve(hub: RunningHub, target: Target, stop: Stop, ready: threading.Event) -> None:
    async with party_on(hub) as party:
        session_id = await party.new_session()
        job = NewJob(office_id=party.office_id, role="BE", any_role=True, title="t", description="d")
        await JobService(party.operator.link).add_job(job)
        sent = await party.dispatcher.dispatch_send_prompt(session_id, "echo")
        target.token = party.operator.identity().access_token.get_secret_value()
        target.ids = {
            "office_id": str(party.office_id),
            "session_id": str(session_id),
            "job_id": str(job.id),
            "command_id": str(sent.command.id),
        }
        agent = asyncio.create_task(_act(party))
        with ApiServer.open(StateFolder(hub.state_dir), Listener(), time.monotonic) as server:
            target.url = server.url
            ready.set()
            await server.run(party.operator.link, stop)
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)


async def _act(party: Party) -> None:
    """An agent that does at once whatever comes; nothing ever ends."""
    commands = party.host.commands
    async with party.host.link.expect(party.office_id, ("agent_commands", None)) as change:
        while True:
            await commands.renew_leases(party.instance)
            for claimed in await commands.claim_commands(party.instance):
                command = claimed.command
                if command.command_type is CommandType.SEND_PROMPT:
                    await party.accept(command)
                await commands.complete_command(command.id, token_of(command), result=PAGE, session=READY)
            await change.next(1.0)


# The server's own chance, in its thread, is taken for that of a strategy.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@SCHEMA.parametrize()
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_one_that_the_document_has(case: schemathesis.Case[Any], target: Target) -> None:
    assert target.ids is not None
    for name, value in case.path_parameters.items():
        if _is_id(value):
            case.path_parameters[name] = target.ids[name]
    case.call_and_validate(
        base_url=target.url, headers={"Authorization": f"Bearer {target.token}"}, excluded_checks=[UNTRUE]
    )


def _is_id(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True
