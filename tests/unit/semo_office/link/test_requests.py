import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from semo_office.config import Credentials
from semo_office.errors import (
    CommandError,
    ConfigurationError,
    ErrorCode,
    LinkError,
    LinkTimeout,
    NotAuthenticated,
    RequestRejected,
)
from semo_office.link.filters import among, eq, is_null
from semo_office.link.requests import ATTEMPTS_MAX, Requests
from semo_office.link.timing import Timing
from tests.unit.semo_office.fakes import make_credentials, settle

Answer = httpx.Response | Exception


class Office:
    """Answers requests in turn and writes them down; the last answer stays."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.tokens: Iterator[str] = iter(())
        self.token = "first"
        self.reached: list[bool] = []
        self.elapsed = 0.0

    def source(self) -> Credentials:
        self.token = next(self.tokens, self.token)
        return make_credentials(self.token)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    async def sleep(self, seconds: float) -> None:
        self.elapsed += seconds

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(lambda request: self.handle(request))

    async def open(self) -> Requests:
        timing = Timing(clock=lambda: self.elapsed, sleep=self.sleep, random=lambda: 0.5)
        return await Requests.open(self.source, timing, self.reached.append, transport=self.transport)


def failed(status: int, code: str | None, message: str = "it failed", details: str | None = None) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, "details": details, "hint": None})


async def failure_of(answer: Answer) -> Exception:
    requests = await Office(answer).open()
    with pytest.raises(Exception) as caught:
        await requests.rpc("f", {})
    await requests.close()
    return caught.value


@pytest.mark.parametrize("code", list(ErrorCode))
async def test_a_refusal_of_the_database_is_a_command_error_with_its_sentence(code: ErrorCode) -> None:
    error = await failure_of(failed(409, "PT409", code, "The sentence."))
    assert isinstance(error, CommandError)
    assert (error.code, str(error)) == (code, "The sentence.")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(401, "PGRST301", "JWSError"), NotAuthenticated),
        (failed(401, "PGRST303", "JWT expired"), NotAuthenticated),
        (failed(401, None, "Invalid API key"), NotAuthenticated),
        (failed(401, "42501", "permission denied for table offices"), NotAuthenticated),
        (failed(403, "42501", "permission denied for table offices"), RequestRejected),
        (failed(404, "PGRST202", "no such function"), RequestRejected),
        (failed(400, "PT400", "not one of ours"), RequestRejected),
        (failed(500, "XX000", "internal error"), RequestRejected),
        (failed(503, "PGRST002", "no schema cache"), LinkError),
        (failed(503, "53300", "too many connections"), LinkError),
        (failed(500, "57014", "statement timeout"), LinkError),
        (failed(500, "40P01", "deadlock detected"), LinkError),
        (failed(429, None, "slow down"), LinkError),
        (httpx.Response(502, text="<html>bad gateway</html>"), LinkError),
        (httpx.ConnectError("refused"), LinkError),
        (httpx.RemoteProtocolError("server disconnected"), LinkError),
        (httpx.ReadTimeout("late"), LinkTimeout),
    ],
)
async def test_an_answer_becomes_one_error_of_ours(answer: Answer, kind: type[Exception]) -> None:
    error = await failure_of(answer)
    assert type(error) is kind
    assert error.__cause__ is not None


async def test_details_of_a_rejected_request_stay_out_because_they_can_hold_a_prompt() -> None:
    error = await failure_of(failed(400, "23514", "violates check", "Failing row contains (my secret prompt)."))
    assert "secret" not in str(error)


async def test_an_answer_that_never_comes_is_a_timeout() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        raise TimeoutError

    office = Office(httpx.Response(200, json=1))
    office.handle = hang  # type: ignore[method-assign] # the fault that this test is about
    requests = await office.open()
    with pytest.raises(LinkTimeout):
        await requests.rpc("f", {})
    await requests.close()


async def test_a_lost_answer_is_asked_for_again_when_that_does_no_harm() -> None:
    office = Office(httpx.ReadError("lost"), httpx.Response(503), httpx.Response(200, json={"id": 1}))
    requests = await office.open()
    assert await requests.rpc("f", {"p": 1}, retry=True) == {"id": 1}
    assert [json.loads(request.content) for request in office.requests] == [{"p": 1}] * 3
    assert office.reached == [False, False, True]
    await requests.close()


async def test_a_call_that_may_do_harm_is_made_once() -> None:
    office = Office(httpx.ReadError("lost"))
    requests = await office.open()
    with pytest.raises(LinkError):
        await requests.rpc("f", {})
    assert len(office.requests) == 1
    await requests.close()


async def test_tries_have_an_end_in_number_and_in_time() -> None:
    office = Office(httpx.ConnectError("refused"))
    requests = await office.open()
    with pytest.raises(LinkError):
        await requests.rpc("f", {}, retry=True, deadline=60.0)
    assert len(office.requests) == ATTEMPTS_MAX
    before = office.elapsed
    with pytest.raises(LinkError):
        await requests.rpc("f", {}, retry=True, deadline=0.5)
    assert office.elapsed - before <= 0.5
    await requests.close()


async def test_a_refused_token_is_read_anew_once_and_the_request_made_again() -> None:
    office = Office(failed(401, "PGRST303", "JWT expired"), httpx.Response(200, json=1))
    office.tokens = iter(["first", "second"])
    requests = await office.open()
    assert await requests.rpc("f", {}) == 1
    assert [request.headers["authorization"] for request in office.requests] == ["Bearer first", "Bearer second"]
    await requests.close()


@pytest.mark.parametrize(("tokens", "tries"), [(["first"], 1), (["first", "second", "third"], 2)])
async def test_a_token_that_stays_refused_is_an_error(tokens: list[str], tries: int) -> None:
    office = Office(failed(401, "PGRST303", "JWT expired"))
    office.tokens = iter(tokens)
    requests = await office.open()
    with pytest.raises(NotAuthenticated):
        await requests.rpc("f", {}, retry=True)
    assert len(office.requests) == tries
    await requests.close()


async def test_closing_lets_the_last_request_end_and_takes_no_more() -> None:
    office, let_go, arrived = Office(httpx.Response(200, json=1)), asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await let_go.wait()
        return httpx.Response(200, json="written")

    office.handle = slow  # type: ignore[method-assign] # the far side of this test takes its time
    requests = await Requests.open(office.source, Timing(), office.reached.append, transport=office.transport)
    writing = asyncio.create_task(requests.rpc("f", {}))
    await arrived.wait()
    closing = asyncio.create_task(requests.close())
    await settle()
    assert not closing.done()
    with pytest.raises(LinkError, match="closed"):
        await requests.rpc("f", {}, retry=True)
    let_go.set()
    assert await writing == "written"
    await closing
    await requests.close()


def query(request: httpx.Request) -> dict[str, list[str]]:
    return parse_qs(urlsplit(str(request.url)).query)


async def test_filters_and_order_become_rest_parameters() -> None:
    office = Office(httpx.Response(200, json=[{"id": "a"}]))
    requests = await office.open()
    rows = await requests.select(
        "t",
        filters=[eq("name", "a b&c"), among("id", ['x"y', "z"]), is_null("deleted_at")],
        order=["-created_at", "id"],
    )
    assert rows == [{"id": "a"}]
    assert query(office.requests[0]) == {
        "select": ["*"],
        "name": ["eq.a b&c"],
        "id": ['in.("x\\"y","z")'],
        "deleted_at": ["is.null"],
        "order": ["created_at.desc,id.asc"],
        "limit": ["1000"],
    }
    await requests.close()


async def test_more_than_a_page_comes_in_pages() -> None:
    pages = [[{"n": 1}] * 1000, [{"n": 2}] * 1000, [{"n": 3}]]
    office = Office(*(httpx.Response(200, json=page) for page in pages))
    requests = await office.open()
    assert len(await requests.select("t", order=["n"])) == 2001
    assert [query(request).get("offset", ["0"]) for request in office.requests] == [["0"], ["1000"], ["2000"]]
    await requests.close()


async def test_a_limit_ends_the_reading() -> None:
    office = Office(httpx.Response(200, json=[{"n": 1}] * 3))
    requests = await office.open()
    assert len(await requests.select("t", limit=3)) == 3
    assert len(office.requests) == 1
    await requests.close()


async def test_after_a_timeout_the_next_attempt_has_a_connection_of_its_own_and_others_end_in_peace() -> None:
    office = Office(httpx.Response(200, json=[]))
    requests = await office.open()
    slow_end, slow_began = asyncio.Event(), asyncio.Event()

    async def slowly(request: httpx.Request) -> httpx.Response:
        slow_began.set()
        await slow_end.wait()
        return httpx.Response(200, json=["slow"])

    async def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    handle = office.handle
    before = requests._pool.newest
    office.handle = slowly  # type: ignore[method-assign] # the fault that this test is about
    slow = asyncio.create_task(requests.rpc("slow", {}))
    await slow_began.wait()
    office.handle = fail  # type: ignore[method-assign]
    with pytest.raises(LinkTimeout):
        await requests.rpc("f", {})
    office.handle = handle  # type: ignore[method-assign]
    assert requests._pool.newest is not before
    assert await requests.rpc("f", {}) == []
    # It is used still: else this would break.
    slow_end.set()
    assert await slow == ["slow"]
    assert before.is_closed
    await requests.close()
    assert requests._pool.newest.is_closed


@pytest.mark.parametrize("url", ["not an address", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_one_clear_sentence(url: str) -> None:
    def source() -> Credentials:
        return make_credentials(url=url)

    def never(_: Any) -> None:
        raise AssertionError("nothing can be reached at no address")

    with pytest.raises(ConfigurationError, match="not valid"):
        await Requests.open(source, Timing(), never)
