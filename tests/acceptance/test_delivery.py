"""Prompts arrive in a real program byte for byte, once, and in order, whoever races."""

import itertools
import re
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
from tests.acceptance.receivers import ReceivedPrompt, Receivers, sha256_of

pytestmark = pytest.mark.timeout(150)

HANGUL = "한글 조합형 \u1112\u1161\u11ab과 완성형 한, 이모지 👩‍👩‍👧‍👦 🇰🇷 ✌🏽, 결합 e\u0301 n\u0303"

TEXTS = {
    "200 lines": "\n".join(f"line {number}" for number in range(200)),
    "100 kB": "0123456789abcde\n" * 6_250 + "end",
    "Hangul, emoji and combining marks": HANGUL,
    "ESC, NUL and 0x9b": "a\x1b[201~b\x00c\x9bd\x9c\x07e\x7ff\tg",
}


def documented_stripping(text: str) -> str:
    """As README says: C0 but tab and newline, DEL and C1 go; line ends become LF, none at the end."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", unified).rstrip("\n")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with new_machine() as machine:
        Receivers(machine).install()
        machine.up()
        yield machine


def new_receiver(machine: Machine) -> str:
    ended = machine.semo("new", "--profile", "receiver", "--role", "receiver", "--json")
    assert ended.code == 0, ended
    session_id: str = ended.json["session_id"]
    return session_id


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_arrives_as_it_was_sent_once_and_with_enter_by_itself(machine: Machine, text: str) -> None:
    session = new_receiver(machine)
    ended = machine.semo("send", "--wait", "20", "--json", "--session", session, "-", stdin=text.encode())
    assert ended.code == 0, ended
    expected = documented_stripping(text)
    received = ReceivedPrompt(1, sha256_of(expected), len(expected.encode()), cr_separate=True)
    assert Receivers(machine).prompts(session) == [received]
    assert Receivers(machine).bytes_read(session) == b"\x1b[200~" + expected.encode() + b"\x1b[201~\r"


class Race:
    """200 prompts from two client processes into four sessions, and what the office wrote down about them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sessions = [new_receiver(machine) for _ in range(4)]
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
