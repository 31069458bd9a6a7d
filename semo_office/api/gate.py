"""What every request passes before the routes see it: who may ask at all, how much, and what the log says of it."""

import asyncio
import re
import time
import traceback
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semo_office.api.problems import Refusal, Refused, internal, overloaded, unauthenticated

BODY_MAX: Final = 1024 * 1024
BODY_S: Final = 30.0
"""How long a body may take to arrive."""
REQUESTS_MAX: Final = 256
PROTECTED: Final = "/api/"
REQUEST_ID: Final = "semo.request_id"
TOKEN: Final = "semo.token"  # noqa: S105 (the name of a key)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A JWT: three parts of base64url. Whether it is any good the office decides.
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TOKEN_MAX: Final = 8192
_JSON: Final = "application/json"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_log = structlog.get_logger(__name__)


class Gate:
    """ASGI: refuses what no route should see, bounds bodies and requests, names and logs each.

    `names`: what a Host may be, in lower case and without port. clock: monotonic, s.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._names = names
        self._clock = clock
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send)
        began = self._clock()
        self._under_way += 1
        try:
            await self._admit(request)
        finally:
            self._under_way -= 1
            _log.info(
                "request",
                request_id=request.id,
                method=request.method,
                route=request.route,
                status=request.status,
                ms=round((self._clock() - began) * 1000, 1),
            )

    async def _admit(self, request: "_Request") -> None:
        try:
            self._check(request)
            await self._app(request.scope, request.receive, request.send)
        except Refused as refused:
            await request.refuse(refused)
        except Exception as err:  # noqa: BLE001  # the top of a request: it is logged, and the caller is told so
            # The lines of code, without messages or values: those may hold a prompt.
            lines = traceback.format_list(traceback.extract_tb(err.__traceback__))
            _log.error("request_failed", request_id=request.id, error=type(err).__name__, where="".join(lines[-3:]))
            if request.status is None:
                await request.refuse(internal())

    def _check(self, request: "_Request") -> None:
        """Raises Refused."""
        self._check_sender(request.headers)
        if self._under_way > REQUESTS_MAX:
            raise overloaded("Too many requests are under way; try again in a moment.")
        if request.path.startswith(PROTECTED):
            request.scope[TOKEN] = _token_of(request.headers)
        _check_body(request)

    def _check_sender(self, headers: Headers) -> None:
        """What a web page could have sent: under a name that it points here itself, or with its own origin."""
        host = headers.get("host", "")
        if _name_in(f"//{host}") not in self._names:
            raise Refused(421, Refusal.FOREIGN_HOST, "The API does not answer under this name; use its address.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            raise Refused(403, Refusal.FOREIGN_ORIGIN, "The API does not answer to other web sites.")


class _Request:
    """One request on its way through, and what is known of its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = Headers(scope=scope)
        self.id = _request_id(self.headers)
        self.scope = {**scope, REQUEST_ID: self.id}
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self._received = 0
        self._complete = False

    @property
    def route(self) -> str:
        """Its template: the path itself may hold anything."""
        return getattr(self.scope.get("route"), "path", "-")

    async def receive(self) -> Message:
        """A part of the body; after its end, the end of the connection. Raises Refused."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(BODY_S):
                message = await self._receive()
        except TimeoutError as err:
            raise Refused(408, Refusal.TOO_SLOW, f"The body did not arrive within {BODY_S:.0f} s.") from err
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received > BODY_MAX:
            raise too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            for name, value in _HEADERS.items():
                headers[name] = value
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        # What was not read is not waited for: the connection ends with the answer.
        unread = not self._complete and _has_body(self.headers)
        headers = {"Connection": "close"} if unread else {}
        await refused.to_response(self.id, headers)(self.scope, self.receive, self.send)


def too_large() -> Refused:
    sentence = f"The body has more than {BODY_MAX} bytes. Put what is large into a file and name the file."
    return Refused(413, Refusal.TOO_LARGE, sentence)


def _check_body(request: _Request) -> None:
    if not _has_body(request.headers):
        return
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_MAX:
        raise too_large()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise Refused(415, Refusal.NOT_JSON, f"A body needs the header Content-Type: {_JSON}.")


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _token_of(headers: Headers) -> str:
    """Raises Refused (401)."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated("Send a token of the office: Authorization: Bearer TOKEN. `semo token` prints one.")
    if len(token) > _TOKEN_MAX or not _TOKEN.fullmatch(token.strip()):
        raise unauthenticated("This is not a token of the office; `semo token` prints one.", invalid=True)
    return token.strip()


def _request_id(headers: Headers) -> str:
    """The caller's own if it is sane: it goes into the log."""
    offered = headers.get("x-request-id", "")
    return offered if _REQUEST_ID.fullmatch(offered) else uuid4().hex


def _name_in(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
