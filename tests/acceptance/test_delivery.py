"""Prompts arrive in a real program byte for byte, once, and in order, whoever races."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime
from uuid import UUID

import pytest

from semo_office.link import Link, Row
from semo_office.models import SendPrompt
from tests.acceptance.machine import ROOT, Machine, new_machine
from tests.acceptance.receivers import TEXTS, Receivers, see_arrive, sha256_of

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with new_machine() as machine:
        Receivers(machine).install()
        machine.up()
        yield machine


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_arrives_as_it_was_sent_once_and_with_enter_by_itself(machine: Machine, text: str) -> None:
    see_arrive(machine, text)


class Race:
    """200 prompts from two client processes into four sessions, and what the office wrote down about them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sessions = [Receivers(machine).new_session() for _ in range(4)]
        self._run()
        self.commands = machine.ask(lambda link: self._prompts(link))
        self.events = machine.ask(lambda link: link.select("agent_command_events", order=["id"]))

    def _run(self) -> None:
        office = str(self.machine.ask(lambda link: link.select("offices"))[0]["id"])
        program = str(ROOT / "tests" / "programs" / "racing_client.py")
        clients = [
            subprocess.Popen(
                [sys.executable, program, str(self.machine.state), office, name, "100", *self.sessions],
                env=self.machine.environment,
            )
            for name in ("one", "two")
        ]
        assert [client.wait(timeout=30) for client in clients] == [0, 0]
        self.machine.ask(self._see_all_completed)

    async def _see_all_completed(self, link: Link) -> None:
        """Until every prompt has completed, each seen as the office tells of it."""
        [office] = await link.select("offices")
        open_prompts = {command["id"] for command in await self._prompts(link)}
        assert len(open_prompts) == 200
        watched = link.watch("agent_command_results", office_id=UUID(str(office["id"])), key="command_id")
        async with aclosing(watched) as results:
            async for result in results:
                open_prompts.discard(result["command_id"])
                assert result["success"], result
                if not open_prompts:
                    return

    async def _prompts(self, link: Link) -> list[Row]:
        rows = await link.select("agent_commands", order=["sequence"])
        return [row for row in rows if row["command_type"] == "send_prompt" and row["session_id"] in self.sessions]

    def sent_to(self, session: str) -> list[Row]:
        """The session's prompts in the order of the office."""
        return [command for command in self.commands if command["session_id"] == session]

    def time_of(self, command: Row, stage: str) -> datetime:
        [at] = [e["at"] for e in self.events if e["command_id"] == command["id"] and e["stage"] == stage]
        return datetime.fromisoformat(str(at))


@pytest.fixture(scope="module")
def race(machine: Machine) -> Race:
    return Race(machine)


def texts_of(commands: list[Row]) -> list[str]:
    return [SendPrompt.model_validate(command["payload"]).prompt for command in commands]


def test_racing_clients_lose_nothing_and_repeat_nothing(race: Race) -> None:
    received = [prompt.sha256 for session in race.sessions for prompt in Receivers(race.machine).prompts(session)]
    assert sorted(received) == sorted(sha256_of(f"{name} {n:03}") for name in ("one", "two") for n in range(100))


def test_each_session_receives_its_prompts_in_the_order_of_the_office(race: Race) -> None:
    for session in race.sessions:
        received = [prompt.sha256 for prompt in Receivers(race.machine).prompts(session)]
        assert received == [sha256_of(text) for text in texts_of(race.sent_to(session))]


def test_each_client_keeps_its_own_order_in_a_session(race: Race) -> None:
    for session in race.sessions:
        texts = texts_of(race.sent_to(session))
        for client in ("one", "two"):
            mine = [text for text in texts if text.startswith(client)]
            assert mine == sorted(mine)


def test_one_prompt_at_a_time_is_in_the_lane(race: Race) -> None:
    for session in race.sessions:
        prompts = race.sent_to(session)
        for before, after in itertools.pairwise(prompts):
            assert race.time_of(before, "accepted") <= race.time_of(after, "claimed")


def test_the_next_prompt_is_claimed_only_when_the_turn_before_has_ended(race: Race) -> None:
    for session in race.sessions:
        prompts = race.sent_to(session)
        for before, after in itertools.pairwise(prompts):
            assert race.time_of(before, "turn_ended") <= race.time_of(after, "claimed")
