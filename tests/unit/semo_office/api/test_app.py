import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from semo_office.api.app import make_routes
from semo_office.link import LinkState
from tests.unit.semo_office.api.door import code_of, door

OFFICE_ID = uuid4()
OFFICE = f"/api/offices/{OFFICE_ID}"
SESSION = f"{OFFICE}/sessions/{uuid4()}"


def an_office(request: httpx.Request) -> httpx.Response:
    """A hub on which the office exists, and nothing else."""
    if request.url.path.endswith("/offices"):
        return httpx.Response(200, json=[{"id": str(OFFICE_ID), "name": "o", "repo_path": "/r", "version": 1}])
    return httpx.Response(200, json=[])


async def test_an_unknown_address_is_404() -> None:
    async with door() as client:
        for path in ("/", "/api/nothing", "/docs", f"{OFFICE}/sessions/"):
            refused = await client.get(path, follow_redirects=False)
            assert (refused.status_code, code_of(refused)) == (404, "not_found"), path


async def test_another_method_is_405_and_says_which_there_are() -> None:
    async with door() as client:
        refused = await client.put(SESSION, json={})
        assert (refused.status_code, code_of(refused)) == (405, "method_not_allowed")
        assert refused.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    "bad", ["demo", "new", "test", "123", "abc", "null", "undefined", "'; drop table offices;--", "%00", "a" * 10_000]
)
async def test_t23_an_id_that_is_none_is_422(bad: str) -> None:
    async with door(an_office) as client:
        refused = await client.get(f"/api/offices/{bad}/sessions")
        assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")
        assert refused.json()["message"] == "office_id: Input should be a UUID."
        refused = await client.post(f"{OFFICE}/sessions/{bad}/cancel")
        assert refused.json()["message"] == "session_id: Input should be a UUID."


@pytest.mark.parametrize("body", [b"{", b'{"prompt": ', b"[" * 100_000, b"nul"])
async def test_t23_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    async with door(an_office) as client:
        refused = await client.post(f"{SESSION}/prompt", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code in (400, 422)
        assert code_of(refused) in ("invalid_payload", "bad_request")


async def test_a_body_that_is_no_text_is_refused() -> None:
    async with door(an_office) as client:
        refused = await client.post(
            f"{SESSION}/prompt", content=b'"\xff"', headers={"Content-Type": "application/json"}
        )
        assert (refused.status_code, code_of(refused)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/sessions", {"role": "x" * 10_000}, "role: String should have at most 40 characters."),
        ("/sessions", {"role": "a\x00b"}, "role: String should match pattern"),
        ("/sessions", {"cols": 2**70}, "cols: Input should be less than or equal to 500."),
        ("/sessions", {"secret": 1}, "secret: Extra inputs are not permitted."),
        ("/sessions", [], "body: Input should be a valid dictionary"),
        ("/jobs", {"role": "BE", "title": "", "description": "x"}, "title: String should have at least 1 character."),
        ("/jobs", {"role": "BE"}, "title: Field required. description: Field required."),
        ("/jobs", {"role": "B", "title": "t", "description": "x", "priority": 2**40}, "priority: Input should be less"),
    ],
)
async def test_t23_every_fault_of_a_body_is_a_sentence(path: str, body: object, sentence: str) -> None:
    async with door(an_office) as client:
        refused = await client.post(f"{OFFICE}{path}", json=body)
        assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")
        assert refused.json()["message"].startswith(sentence)


@pytest.mark.parametrize("prompt", ["", "  \n", "\x00", "가" * 87_382])
async def test_a_prompt_that_can_not_be_sent_is_422(prompt: str) -> None:
    async with door(an_office) as client:
        refused = await client.post(f"{SESSION}/prompt", json={"prompt": prompt})
        assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")


async def test_half_a_surrogate_pair_is_422() -> None:
    async with door(an_office) as client:
        for path, body in (("prompt", r'{"prompt": "\ud800"}'), ("answer", r'{"text": "\ud800"}')):
            refused = await client.post(f"{SESSION}/{path}", content=body, headers={"Content-Type": "application/json"})
            assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")


async def test_what_was_sent_is_never_shown_again() -> None:
    async with door(an_office) as client:
        refused = await client.post(f"{SESSION}/prompt", json={"prompt": ["my secret"], "id": "my secret"})
        assert "secret" not in refused.text


@pytest.mark.parametrize("wait", ["-1", "61", "inf", "nan", "soon"])
async def test_a_wait_is_0_to_60_s(wait: str) -> None:
    async with door(an_office) as client:
        refused = await client.post(f"{SESSION}/cancel", params={"wait": wait})
        assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")


async def test_a_parameter_that_no_route_has_is_422_and_not_passed_over() -> None:
    async with door() as client:
        refused = await client.post(f"{SESSION}/cancel", params={"wiat": 60})
        assert (refused.status_code, code_of(refused)) == (422, "invalid_payload")
        assert refused.json()["message"].endswith("; it has wait.")


async def test_two_ids_of_one_command_that_differ_are_refused() -> None:
    async with door(an_office) as client:
        refused = await client.post(
            f"{SESSION}/prompt",
            json={"prompt": "x", "id": str(uuid4())},
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert "differ" in refused.json()["message"]
        assert code_of(refused) == "invalid_payload"


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((401, {"code": "PGRST301", "message": "JWT could not be decoded"}), 401, "unauthenticated"),
        ((403, {"code": "42501", "message": "permission denied for table offices"}), 403, "forbidden"),
        ((400, {"code": "22P05", "message": "unsupported Unicode escape sequence"}), 422, "invalid_payload"),
        ((404, {"code": "PGRST205", "message": "Could not find the table"}), 502, "office_refused"),
        ((503, {"code": "PGRST001", "message": "no connection"}), 503, "office_away"),
        ((429, {"message": "too many"}), 503, "office_away"),
    ],
)
async def test_what_the_hub_answers_has_its_status(
    answer: tuple[int, dict[str, str]], status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semo_office.link.requests.ATTEMPTS_MAX", 1)
    async with door(lambda _request: httpx.Response(answer[0], json=answer[1])) as client:
        refused = await client.get(OFFICE + "/sessions")
        assert (refused.status_code, code_of(refused)) == (status, code)
        assert ("retry-after" in refused.headers) is (status == 503)
        assert ("www-authenticate" in refused.headers) is (status == 401)


async def test_an_office_that_is_not_there_is_404() -> None:
    async with door(lambda _request: httpx.Response(200, json=[])) as client:
        refused = await client.get(f"{OFFICE}/sessions")
        assert (refused.status_code, code_of(refused)) == (404, "not_found")


async def test_ready_is_who_reaches_the_office() -> None:
    async with door(state=LinkState.POLLING) as client:
        assert (await client.get("/readyz")).json() == {"status": "polling"}
    async with door(state=LinkState.OFFLINE) as client:
        away = await client.get("/readyz")
        assert (away.status_code, away.json(), away.headers["retry-after"]) == (503, {"status": "offline"}, "5")


async def test_every_route_of_the_document_names_its_refusals_in_one_form() -> None:
    async with door() as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/"):
                assert operation["security"] == [{"HTTPBearer": []}], (method, path)
                assert {"401", "404" if "{" in path else "401", "422", "503"} <= set(operation["responses"])


def test_the_document_has_the_seven_routes_of_the_specification() -> None:
    paths = make_routes().openapi()["paths"]
    sessions = "/api/offices/{office_id}/sessions"
    one = f"{sessions}/{{session_id}}"
    assert {"get", "post"} == set(paths[sessions])
    assert {"get", "delete"} == set(paths[one])
    assert [set(paths[f"{one}/{name}"]) for name in ("prompt", "cancel", "output")] == [{"post"}, {"post"}, {"get"}]
