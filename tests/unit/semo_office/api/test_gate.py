import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from semo_office.api import gate
from semo_office.api.gate import BODY_MAX, Gate
from tests.unit.semo_office.api.door import NAMES, TOKEN, client_of, code_of, door

OFFICE = f"/api/offices/{uuid4()}"
PROMPT = f"{OFFICE}/sessions/{uuid4()}/prompt"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "LOCALHOST", "[::1]:8080"])
async def test_the_server_answers_to_its_own_names(host: str) -> None:
    async with door() as client:
        assert (await client.get("/healthz", headers={"Host": host})).json() == {"status": "ok"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", "", "10.0.0.7:8080", "a@localhost.x"])
async def test_a_name_that_somebody_points_here_gets_no_answer(host: str) -> None:
    async with door() as client:
        refused = await client.get("/healthz", headers={"Host": host})
        assert (refused.status_code, code_of(refused)) == (421, "foreign_host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9", "http://localhost:8080"])
async def test_a_page_of_another_origin_is_refused_even_with_a_token(origin: str) -> None:
    async with door() as client:
        refused = await client.post(PROMPT, json={"prompt": "x"}, headers={"Origin": origin})
        assert (refused.status_code, code_of(refused)) == (403, "foreign_origin")
        assert not [name for name in refused.headers if name.startswith("access-control")]


async def test_a_preflight_gets_no_permission() -> None:
    async with door() as client:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        refused = await client.options(PROMPT, headers=asked)
        assert refused.status_code == 403
        assert not [name for name in refused.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic abc", "Bearer", "Bearer  ", "Bearer sb_secret_x", f"Bearer {'a' * 9000}.b.c", "Bearer a.b"],
)
async def test_without_a_token_there_is_only_401(header: str | None) -> None:
    async with door() as client:
        del client.headers["Authorization"]
        refused = await client.get(OFFICE, headers={"Authorization": header} if header is not None else {})
        assert (refused.status_code, code_of(refused)) == (401, "unauthenticated")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_body_of_another_type_is_refused() -> None:
    async with door() as client:
        for headers in ({"Content-Type": "text/plain"}, {}):
            refused = await client.post(PROMPT, content=b'{"prompt": "x"}', headers=headers)
            assert (refused.status_code, code_of(refused)) == (415, "not_json")


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async with door() as client:
        refused = await client.post(PROMPT, content=b"x" * (BODY_MAX + 1), headers=JSON)
        assert (refused.status_code, code_of(refused)) == (413, "too_large")
        assert refused.headers["connection"] == "close"


async def test_a_body_in_chunks_is_given_up_once_it_is_too_large() -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 65_536

    async with door() as client:
        refused = await client.post(PROMPT, content=chunks(), headers=JSON)
        assert (refused.status_code, code_of(refused)) == (413, "too_large")
    assert sent == BODY_MAX // 65_536 + 1


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_S", 0.01)
    came: list[int] = []

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def note(message: object) -> None:
        assert isinstance(message, dict)
        came.append(message.get("status", 0))

    async with door() as client:
        app = client._transport.app  # type: ignore[attr-defined]
        headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"content-length", b"10"),
            (b"authorization", f"Bearer {TOKEN}".encode()),
        ]
        await app(_scope(PROMPT, headers), never, note)
    assert came[0] == 408


async def test_the_name_of_a_request_is_the_callers_if_it_is_sane() -> None:
    async with door() as client:
        named = await client.get("/healthz", headers={"X-Request-Id": "build-7.a_b"})
        assert named.headers["x-request-id"] == "build-7.a_b"
        for insane in ("a b", "x" * 65, 'a"b', "é"):
            named = await client.get("/healthz", headers={b"X-Request-Id": insane.encode()})
            assert named.headers["x-request-id"].isalnum()
            assert len(named.headers["x-request-id"]) == 32


async def test_answers_are_kept_by_nobody() -> None:
    async with door() as client:
        headers = (await client.get("/healthz")).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "server" not in headers
        assert "set-cookie" not in headers


async def test_the_log_has_the_address_and_neither_token_body_nor_query() -> None:
    with capture_logs() as logs:
        async with door(lambda _request: httpx.Response(200, json=[])) as client:
            await client.post(
                f"{PROMPT}?wait=secretquery", json={"prompt": 7, "more": "secretbody"}, headers={"X-Request-Id": "me"}
            )
            await client.get("/secretpath")
    told = [entry for entry in logs if entry["event"] == "request"]
    assert [(entry["route"], entry["status"]) for entry in told] == [
        ("/api/offices/{office_id}/sessions/{session_id}/prompt", 404),
        ("-", 404),
    ]
    assert told[0]["request_id"] == "me"
    assert not any(word in str(logs) for word in ("secret", TOKEN))


async def test_an_error_that_nobody_expected_is_told_without_its_values() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("".join(("a prompt: ", "sec", "ret")))

    with capture_logs() as logs:
        async with client_of(Gate(fail, NAMES)) as client:
            refused = await client.get("/")
    assert (refused.status_code, code_of(refused)) == (500, "internal")
    assert [entry["error"] for entry in logs if entry["event"] == "request_failed"] == ["ZeroDivisionError"]
    assert "secret" not in str(logs)


async def test_more_requests_than_the_server_takes_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "REQUESTS_MAX", 1)
    inner: list[httpx.Response] = []

    async def ask_once_more(scope: Scope, receive: Receive, send: Send) -> None:
        if Request(scope).url.path == "/first":
            inner.append(await client.get("/second"))
        await PlainTextResponse("done")(scope, receive, send)

    async with client_of(Gate(ask_once_more, NAMES)) as client:
        assert (await client.get("/first")).text == "done"
        assert (await client.get("/third")).text == "done"
    assert (inner[0].status_code, code_of(inner[0]), inner[0].headers["retry-after"]) == (503, "overloaded", "5")


def _scope(path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, object]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": ("127.0.0.1", 8080),
        "scheme": "http",
        "http_version": "1.1",
    }
