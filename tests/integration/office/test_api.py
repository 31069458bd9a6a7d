"""The Sessions API on a real socket, before a real hub. The agent of the host is the test."""

import json
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import JsonValue

from semo_office.api.app import make_app
from semo_office.api.callers import Callers
from semo_office.api.desk import Service
from semo_office.breaker import BreakerStore
from semo_office.errors import ErrorCode
from semo_office.link import eq
from semo_office.models import AgentCommand, CommandType, HostProfile, SessionReport, SessionStatus
from semo_office.stopping import Stop, Tasks
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.asking import JOB, SOON_S, Agent, Api, completing, refused, while_the_agent
from tests.integration.office.conftest import Identity, party_on, token_of

ASKS = SessionReport(status=SessionStatus.WAITING_INPUT, status_source="test", reason="Go on?")


# Sessions


async def test_a_session_is_started_seen_and_ended(api: Api, client: httpx.AsyncClient) -> None:
    sent = await client.post(f"{api.office}/sessions", json={"profile": "shell", "role": "BE"})
    assert (sent.status_code, sent.json()["kind"]) == (202, "sent")
    session_id = sent.json()["command"]["session_id"]
    await api.party.complete(await api.party.claim_one())
    done = await client.get(sent.headers["Location"])
    assert (done.status_code, done.json()["result"]["success"]) == (200, True)
    listed = (await client.get(f"{api.office}/sessions")).json()["sessions"]
    assert [(each["session_id"], each["role"], each["status"]) for each in listed] == [(session_id, "BE", "ready")]
    one = f"{api.office}/sessions/{session_id}"
    assert (await client.get(one)).json() == listed[0]

    async def end(command: AgentCommand) -> None:
        assert command.command_type is CommandType.TERMINATE
        gone = SessionReport(status=SessionStatus.TERMINATED, status_source="test")
        await api.party.host.commands.complete_command(command.id, token_of(command), session=gone)

    ended = await while_the_agent(api, end, client.delete(one, params={"wait": 10}))
    assert (ended.status_code, ended.json()["command"]["status"]) == (200, "completed")
    assert (await client.get(f"{api.office}/sessions")).json() == {"sessions": []}
    assert len((await client.get(f"{api.office}/sessions", params={"ended": True})).json()["sessions"]) == 1


async def test_a_prompt_that_is_waited_for_brings_its_result(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    asking = client.post(
        f"{api.office}/sessions/{session_id}/prompt", json={"prompt": "echo 안녕"}, params={"wait": 10}
    )
    answer = await while_the_agent(api, completing(api.party, "안녕"), asking)
    assert (answer.status_code, answer.json()["kind"]) == (200, "finished")
    assert answer.json()["result"]["result"] == {"output": "안녕"}
    assert [event["stage"] for event in answer.json()["events"]][:2] == ["queued", "claimed"]
    assert "claim_token" not in answer.text


async def test_a_wait_that_ends_changes_nothing(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    sent = await client.post(
        f"{api.office}/sessions/{session_id}/prompt", json={"prompt": "echo"}, params={"wait": 0.05}
    )
    assert (sent.status_code, sent.json()["kind"], sent.json()["result"]) == (202, "still_waiting", None)
    done = await while_the_agent(
        api, completing(api.party, "x"), client.get(sent.headers["Location"], params={"wait": 10})
    )
    assert (done.status_code, done.json()["result"]["result"]) == (200, {"output": "x"})


async def test_a_question_ends_the_wait(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    prompt, answer = (f"{api.office}/sessions/{session_id}/{name}" for name in ("prompt", "answer"))

    async def ask(command: AgentCommand) -> None:
        await api.party.accept(command)
        await api.party.host.sessions.set_session(api.party.instance, session_id, ASKS)

    asks = await while_the_agent(api, ask, client.post(prompt, json={"prompt": "rm -i x"}, params={"wait": 20}))
    assert (asks.status_code, asks.json()["kind"], asks.json()["session"]["reason"]) == (
        202,
        "waiting_input",
        "Go on?",
    )

    async def take(command: AgentCommand) -> None:
        assert (command.payload["text"], command.payload["answer"]) == ("y", True)
        await api.party.complete(command)

    answered = await while_the_agent(api, take, client.post(answer, json={"text": "y"}, params={"wait": 10}))
    assert answered.status_code == 200


async def test_a_failure_of_a_command_is_a_result_with_its_code(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()

    async def fail(command: AgentCommand) -> None:
        await api.party.host.commands.complete_command(
            command.id, token_of(command), error=ErrorCode.DRAFT_PRESENT, message="Somebody types."
        )

    asking = client.post(f"{api.office}/sessions/{session_id}/prompt", json={"prompt": "x"}, params={"wait": 10})
    failed = (await while_the_agent(api, fail, asking)).json()
    assert (failed["result"]["success"], failed["result"]["error"]) == (False, "draft_present")


# The same request again


async def test_the_same_command_again_is_not_sent_twice(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    prompt, key = f"{api.office}/sessions/{session_id}/prompt", str(uuid4())
    for asking in (
        client.post(prompt, json={"prompt": "once"}, headers={"Idempotency-Key": key}),
        client.post(prompt, json={"prompt": "once", "id": key}),
    ):
        assert (await asking).json()["command"]["id"] == key
    other = await client.post(prompt, json={"prompt": "another", "id": key})
    assert refused(other) == (409, "conflict")
    assert (await api.party.claim_one()).id == UUID(key)


async def test_a_session_whose_request_is_repeated_is_started_once(api: Api, client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, again = [await client.post(f"{api.office}/sessions", json={}, headers=key) for _ in range(2)]
    assert first.json()["command"]["session_id"] == again.json()["command"]["session_id"]
    assert len((await client.get(f"{api.office}/sessions")).json()["sessions"]) == 1


# What is not there, and what one may not see


def _every_request(office: str, session_id: object, job_id: object) -> list[tuple[str, str, dict[str, Any]]]:
    one, job = f"{office}/sessions/{session_id}", f"{office}/jobs/{job_id}"
    return [
        ("GET", f"{office}/sessions", {}),
        ("POST", f"{office}/sessions", {"json": {}}),
        ("GET", one, {}),
        ("DELETE", one, {}),
        ("POST", f"{one}/prompt", {"json": {"prompt": "x"}}),
        ("POST", f"{one}/answer", {"json": {"text": "x"}}),
        ("POST", f"{one}/cancel", {}),
        ("GET", f"{one}/output", {}),
        ("GET", f"{one}/output", {"headers": {"Accept": "text/event-stream"}}),
        ("GET", f"{office}/events", {}),
        ("GET", f"{office}/commands/{uuid4()}", {}),
        ("GET", f"{office}/jobs", {}),
        ("POST", f"{office}/jobs", {"json": {"role": "BE", "any_role": True, "title": "t", "description": "d"}}),
        ("GET", job, {}),
        ("POST", f"{job}/cancel", {}),
        ("POST", f"{job}/retry", {}),
        ("POST", f"{job}/review", {"json": {"verdict": "done"}}),
        ("GET", f"{office}/pool", {}),
        ("GET", f"{office}/breakers", {}),
        ("POST", f"{office}/breakers/reset", {"json": {"host_id": str(uuid4()), "profile": "claude"}}),
    ]


async def _bodies(client: httpx.AsyncClient, requests: list[tuple[str, str, dict[str, Any]]]) -> list[dict[str, str]]:
    found = []
    for method, path, content in requests:
        response = await client.request(method, path, **content)
        assert response.status_code == 404, (method, path, response.text)
        found.append({name: text for name, text in response.json().items() if name != "request_id"})
    return found


async def test_r16_an_unknown_session_is_404(api: Api, client: httpx.AsyncClient) -> None:
    about_one = [each for each in _every_request(api.office, uuid4(), uuid4()) if "/sessions/" in each[1]]
    await _bodies(client, about_one)


async def test_r17_a_foreign_office_is_404_and_looks_like_none(
    api: Api, client: httpx.AsyncClient, office_hub: RunningHub
) -> None:
    async with party_on(office_hub) as foreign:
        session_id = await foreign.new_session()
        there = _every_request(f"/api/offices/{foreign.office_id}", session_id, uuid4())
        nowhere = _every_request(f"/api/offices/{uuid4()}", uuid4(), uuid4())
        assert await _bodies(client, there) == await _bodies(client, nowhere)
        mixed = [each for each in _every_request(api.office, session_id, uuid4()) if "/sessions/" in each[1]]
        await _bodies(client, mixed)
        assert await foreign.host.commands.claim_commands(foreign.instance) == []


async def test_a_command_of_another_office_is_404(api: Api, client: httpx.AsyncClient, office_hub: RunningHub) -> None:
    async with party_on(office_hub, operator=api.party.operator.identity) as other:
        sent = await client.post(f"/api/offices/{other.office_id}/sessions", json={})
        command_id = sent.json()["command"]["id"]
        assert refused(await client.get(f"{api.office}/commands/{command_id}")) == (404, "not_found")


def _is_of_something_unknown(request: tuple[str, str, dict[str, Any]]) -> bool:
    return "/jobs/" in request[1] or "/breakers/" in request[1]


@pytest.mark.parametrize("who", ["viewer", "host"])
async def test_who_is_no_operator_can_look_and_not_send(api: Api, who: str) -> None:
    session_id = await api.party.new_session()
    identity = api.party.host.identity if who == "host" else api.member("viewer")
    requests = _every_request(api.office, session_id, uuid4())
    reset = {"host_id": str(api.party.host_id), "profile": "claude"}
    sends = [
        *(each for each in requests if each[0] != "GET" and not _is_of_something_unknown(each)),
        ("POST", f"{api.office}/breakers/reset", {"json": reset}),
    ]
    async with api.client(identity) as client:
        for method, path, content in sends:
            assert refused(await client.request(method, path, **content)) == (403, "forbidden"), path
        assert len((await client.get(f"{api.office}/sessions")).json()["sessions"]) == 1
    assert await api.party.host.commands.claim_commands(api.party.instance) == []


async def test_r18_nobody_gets_in_with_a_key_or_another_hubs_token(api: Api) -> None:
    keys = api.party.hub.keys
    forged = Identity(api.party.hub)
    tokens = [
        keys.publishable_key,
        keys.secret_key,
        "a.b.c",
        api.party.hub.token_for(str(forged.user_id), role="anon"),
        api.party.hub.token_for(str(api.party.operator.identity.user_id), ttl=-60),
        api.party.hub.token_for(str(api.party.operator.identity.user_id))[:-4] + "AAAA",
    ]
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        for token in tokens:
            answer = await client.get("/api/offices", headers={"Authorization": f"Bearer {token}"})
            assert refused(answer) == (401, "unauthenticated"), token[:20]
            assert answer.headers["www-authenticate"].startswith("Bearer")


# Output


async def _reading(api: Api, client: httpx.AsyncClient, session_id: UUID, answer: Agent) -> httpx.Response:
    return await while_the_agent(api, answer, client.get(f"{api.office}/sessions/{session_id}/output"))


async def test_output_is_read(api: Api, client: httpx.AsyncClient) -> None:
    page: dict[str, JsonValue] = {
        "output": "$ ls",
        "epoch": 0,
        "first_line": 0,
        "lines": ["$ ls"],
        "next_line": 0,
        "cursor": [0, 4],
        "alternate": False,
    }

    async def answer(command: AgentCommand) -> None:
        await api.party.host.commands.complete_command(command.id, token_of(command), result=page)

    read = await _reading(api, client, await api.party.new_session(), answer)
    assert (read.status_code, read.json()) == (200, page)


async def test_r24_output_that_could_not_be_read_is_never_a_success(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()

    async def fail(command: AgentCommand) -> None:
        await api.party.host.commands.complete_command(
            command.id, token_of(command), error=ErrorCode.TERMINAL_UNAVAILABLE
        )

    assert refused(await _reading(api, client, session_id, fail)) == (409, "terminal_unavailable")
    silent = await client.get(f"{api.office}/sessions/{session_id}/output", params={"wait": 0.05})
    assert (silent.status_code, silent.json()["kind"]) == (202, "still_waiting")
    assert silent.headers["Location"].endswith(silent.json()["command"]["id"])
    await api.party.host.sessions.remove_session(api.party.instance, session_id, source="test")
    ended = await client.get(f"{api.office}/sessions/{session_id}/output")
    assert refused(ended) == (409, "session_exited")


# Jobs


async def test_jobs_are_added_once_seen_cancelled_and_tried_again(api: Api, client: httpx.AsyncClient) -> None:
    jobs = f"{api.office}/jobs"
    body = {"id": str(uuid4()), "role": "BE", "any_role": True, "title": "Build", "description": "make build"}
    added = await client.post(jobs, json=body)
    assert (added.status_code, added.json()["id"], added.json()["status"]) == (201, body["id"], "ready")
    assert (await client.post(jobs, json=body)).json() == added.json()
    assert refused(await client.post(jobs, json={**body, "title": "Other"})) == (409, "conflict")
    one = added.headers["Location"]
    assert (await client.get(one)).json() == {"job": added.json(), "attempts": [], "led": False}
    assert refused(await client.post(f"{one}/retry")) == (409, "conflict")
    assert (await client.post(f"{one}/cancel")).json()["status"] == "cancelled"
    listed = await client.get(jobs, params={"status": ["cancelled", "done"]})
    assert [job["id"] for job in listed.json()["jobs"]] == [body["id"]]
    assert (await client.get(jobs, params={"status": "ready"})).json() == {"jobs": []}
    assert (await client.post(f"{one}/retry")).json()["status"] == "ready"


async def test_a_job_that_waits_for_an_unknown_one_is_422(api: Api, client: httpx.AsyncClient) -> None:
    body = {**JOB, "depends_on": [str(uuid4())]}
    assert refused(await client.post(f"{api.office}/jobs", json=body)) == (422, "invalid_payload")


ITSELF = str(uuid4())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": ITSELF, "depends_on": [ITSELF]}, "A job can't wait for itself: t after t."),
        ({"role": "BEE", "any_role": False}, "Nobody here has the role BEE; there are "),
        ({"profile": "clade"}, "No host of this office has the profile clade; there are shell."),
        ({"agent_id": ITSELF}, "There is no such member of the team. `semo team list` shows who there is."),
        ({"turn_limit_ms": -1}, "turn_limit_ms: Input should be greater than or equal to 1000."),
        ({"priority": -1_000_001}, "priority: Input should be greater than or equal to -1000000."),
        ({"description": "x" * 2_000_000}, "The body has more than 1048576 bytes."),
        ({"description": "x" * 300_000}, "The description has 300000 bytes; at most 262144 can be sent at once. "),
        ({"title": "two\nlines"}, "Role and title of a job are one line each, without control characters."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_bad_input_is_refused_with_one_sentence_and_adds_nothing(
    api: Api, client: httpx.AsyncClient, wrong: dict[str, Any], said: str
) -> None:
    shell = HostProfile(host_id=api.party.host_id, name="shell", job_prompt="verbatim", done_by="exit_status")
    await api.party.host.offices.report_profiles(api.party.instance, [shell])
    answer = await client.post(f"{api.office}/jobs", json={**JOB, **wrong})
    assert refused(answer)[0] in (413, 422)
    assert answer.json()["message"].startswith(said), answer.text
    assert "\n" not in answer.text
    assert await api.party.operator.link.select("job_queue", filters=[eq("office_id", api.party.office_id)]) == []


async def test_a_body_that_is_not_utf8_is_refused_and_adds_nothing(api: Api, client: httpx.AsyncClient) -> None:
    body = json.dumps({**JOB, "description": "시험"}, ensure_ascii=False).encode("euc-kr")
    answer = await client.post(f"{api.office}/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "\n" not in answer.json()["message"]
    assert await api.party.operator.link.select("job_queue", filters=[eq("office_id", api.party.office_id)]) == []


async def test_an_archived_office_is_409_and_says_how_it_is_opened(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    await api.party.operator.offices.archive_office(api.party.office_id)
    for path, body in (
        ("jobs", JOB),
        ("sessions", {}),
        (f"sessions/{session_id}/prompt", {"prompt": "x"}),
    ):
        answer = await client.post(f"{api.office}/{path}", json=body)
        assert refused(answer) == (409, "conflict")
        assert answer.json()["message"] == "The office office is archived. `semo office restore` opens it again."
    assert (await client.get(f"{api.office}/jobs")).json() == {"jobs": []}
    assert len((await client.get(f"{api.office}/sessions")).json()["sessions"]) == 1
    assert await api.party.host.commands.claim_commands(api.party.instance) == []


async def test_a_review_is_for_a_job_that_waits_for_it(api: Api, client: httpx.AsyncClient) -> None:
    one = (await client.post(f"{api.office}/jobs", json=JOB)).headers["Location"]
    assert refused(await client.post(f"{one}/review", json={"verdict": "done"})) == (409, "conflict")
    assert refused(await client.post(f"{one}/review", json={"verdict": "perhaps"})) == (422, "invalid_payload")


# Capacity


async def test_the_pool_is_seen(api: Api, client: httpx.AsyncClient) -> None:
    pool = (await client.get(f"{api.office}/pool")).json()
    assert (pool["office_id"], pool["cap"], pool["used"]) == (str(api.party.office_id), 3, 0)


async def test_a_cli_that_is_paused_is_seen_refused_and_let_start_again(api: Api, client: httpx.AsyncClient) -> None:
    breakers = BreakerStore(api.party.operator.link)
    await breakers.open(api.party.office_id, api.party.host_id, "shell", "The licence ran out.")
    [paused] = (await client.get(f"{api.office}/breakers")).json()["breakers"]
    assert (paused["state"], paused["profile"], paused["reason"]) == ("open", "shell", "The licence ran out.")
    assert refused(await client.post(f"{api.office}/sessions", json={"profile": "shell"})) == (409, "breaker_open")
    reset = {"host_id": str(api.party.host_id), "profile": "shell"}
    assert (await client.post(f"{api.office}/breakers/reset", json=reset)).json()["state"] == "closed"
    assert (await client.post(f"{api.office}/sessions", json={"profile": "shell"})).status_code == 202


async def test_a_hub_that_is_away_is_503_and_says_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semo_office.link.requests.ATTEMPTS_MAX", 1)
    stop = Stop()
    tasks = Tasks(stop)
    callers, unused = Callers(api.party.operator.identity.through("http://127.0.0.1:9"), tasks, time.monotonic), Stop()
    tasks.start("callers", callers.keep_few(unused))
    app = make_app(Service(callers, lambda: api.party.operator.link.status, stop), {"127.0.0.1"})
    token = api.party.operator.identity().access_token.get_secret_value()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        away = await client.get("/api/offices", headers={"Authorization": f"Bearer {token}"})
    assert (refused(away), away.headers["retry-after"]) == ((503, "office_away"), "5")
    unused.set()
    await tasks.settle(SOON_S)
