"""The API as a stranger has it: `semo up`, `semo token`, and a client of HTTP."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.acceptance.machine import SETUP_S, Machine, eventually, new_machine
from tests.acceptance.servers import elsewhere, serving

pytestmark = pytest.mark.timeout(150)


@dataclass
class Caller:
    """The operator with the token that `semo token` printed."""

    client: httpx.Client
    office: str
    session: str

    def prompt(self, text: str, *, wait: float = SETUP_S) -> httpx.Response:
        return self.client.post(f"{self.session}/prompt", json={"prompt": text}, params={"wait": wait})


@pytest.fixture(scope="module")
def running() -> Iterator[Machine]:
    with new_machine() as machine:
        machine.server = True
        machine.up()
        yield machine


@pytest.fixture(scope="module")
def caller(running: Machine) -> Iterator[Caller]:
    token = running.semo("token")
    assert (token.code, token.out.count("\n")) == (0, 1)
    office = f"/api/offices/{running.told['office_id']}"
    headers = {"Authorization": f"Bearer {token.out.strip()}"}
    with httpx.Client(base_url=api_of(running), headers=headers, timeout=SETUP_S * 2, trust_env=False) as client:
        yield Caller(client, office, f"{office}/sessions/{running.told['session_id']}")


def api_of(machine: Machine) -> str:
    """Where the API is, as the server's record says it."""
    record = machine.state / "run" / "server.json"
    eventually(record.exists, "the server serves")
    return str(json.loads(record.read_bytes())["url"])


@contextmanager
def events(caller: Caller, last: str | None = None) -> Iterator[Iterator[tuple[str, Any, str]]]:
    """The output of the session as it comes: name, data and id of each event."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    with caller.client.stream("GET", f"{caller.session}/output", headers=headers) as response:
        assert response.status_code == 200
        yield _events(response)


def _events(response: httpx.Response) -> Iterator[tuple[str, Any, str]]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
            fields = {}


def test_status_says_where_the_api_is(running: Machine) -> None:
    url = api_of(running)
    assert url.startswith("http://127.0.0.1:")
    assert running.semo("status", "--json").json["api"] == url
    assert url in running.semo("status").out
    told = running.semo("token", "--json").json
    assert (told["api"], told["token_type"]) == (url, "Bearer")


def test_a_prompt_in_hangul_comes_back(caller: Caller) -> None:
    answer = caller.prompt("echo 안녕하세요; (exit 3)")
    assert answer.status_code == 200
    result = answer.json()["result"]["result"]
    assert (result["output"], result["exit_status"]) == ("안녕하세요", 3)
    page = caller.client.get(f"{caller.session}/output", params={"lines": 5}).json()
    assert "안녕하세요" in page["lines"]


def test_output_is_followed_and_gone_on_with_after_a_break_without_loss(caller: Caller) -> None:
    told: list[str] = []

    def hear(stream: Iterator[tuple[str, Any, str]], until: str) -> str:
        for name, data, number in stream:
            assert (name, data["missed"]) == ("output", 0)
            told.extend(data["lines"])
            if any(line == until for line in data["lines"]):
                return number
        raise AssertionError("the stream has ended")

    with events(caller) as stream:
        assert caller.prompt("printf '줄 %d\\n' 1 2 3", wait=0).status_code == 202
        last = hear(stream, "줄 3")
    caller.prompt("printf '줄 %d\\n' 4 5")
    with events(caller, last) as stream:
        assert caller.prompt("printf '줄 %d\\n' 6", wait=0).status_code == 202
        hear(stream, "줄 6")
    assert [line for line in told if line.startswith("줄 ")] == [f"줄 {number}" for number in range(1, 7)]


def test_a_program_in_a_session_has_no_token(running: Machine, caller: Caller) -> None:
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' {api_of(running)}/api/offices"
    assert caller.prompt(ask).json()["result"]["result"]["output"] == "401"
    environment = caller.prompt("env").json()["result"]["result"]["output"]
    token = caller.client.headers["Authorization"].removeprefix("Bearer ")
    assert token not in environment


def test_a_session_that_ends_ends_its_stream(running: Machine, caller: Caller) -> None:
    session = f"{caller.office}/sessions/{running.new_session()}"
    with events(Caller(caller.client, caller.office, session)) as stream:
        next(stream)
        assert caller.client.delete(session, params={"wait": 20}).status_code == 200
        *_, (name, data, _number) = stream
    assert (name, data["status"]) == ("end", "terminated")


def test_the_log_has_neither_prompts_nor_tokens(running: Machine, caller: Caller) -> None:
    caller.prompt("echo a''secret")
    log = (running.state / "logs" / "server.log").read_text()
    assert '"status": 200' in log
    assert not any(word in log for word in ("secret", caller.client.headers["Authorization"].removeprefix("Bearer ")))


def test_a_server_that_was_killed_comes_back_at_its_address(running: Machine, caller: Caller) -> None:
    url, pid = api_of(running), running.pid_of("server")
    os.kill(pid, signal.SIGKILL)

    def another_serves() -> bool:
        record = running.state / "run" / "server.json"
        return record.exists() and running.pid_of("server") != pid

    eventually(another_serves, "another server serves")
    assert api_of(running) == url
    assert caller.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("listen", ["8080", "0.0.0.0:0", "127.0.0.1:70000"])
def test_an_address_that_can_not_be_listened_on_is_a_sentence(running: Machine, listen: str) -> None:
    assert running.semo("serve", "--listen", listen).refused_with(listen.partition(":")[0])


def test_a_server_listens_where_it_is_told_to(running: Machine) -> None:
    state = elsewhere(running)
    with serving(running, state, listen="localhost:0") as server:
        record = state / "run" / "server.json"
        eventually(record.exists, "the server serves")
        url = json.loads(record.read_bytes())["url"]
        assert url.startswith("http://localhost:")
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{url}/healthz").json() == {"status": "ok"}
        assert server.stop() == 0
        assert not record.exists()


def test_without_semo_there_is_no_token(running: Machine) -> None:
    nothing = running.path / "nothing"
    assert running.semo("token", state=nothing).refused_with("SEMO does not run here", "semo up")
