"""The HTTP side of the hub: one loopback port with `/rest/v1`, `/auth/v1`, `/realtime/v1` and `/healthz`."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from semo_hub.auth import Authority, Caller
from semo_hub.database import Database
from semo_hub.errors import BadToken, UnknownKey
from semo_hub.problems import Problem
from semo_hub.realtime import Realtime
from semo_hub.rest import Rest, read_asked

MAX_BODY = 4 * 1024 * 1024  # bytes

Handler = Callable[[Request], Awaitable[Response]]


class LoopbackOnly:
    """Refuses what a web page could have sent: a foreign Host (DNS rebinding), a foreign Origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        # For a WebSocket Starlette makes this the answer to the handshake.
        await JSONResponse({"message": refusal}, 403)(scope, receive, send)


class Gateway:
    """Routes requests, tells who asks, and puts errors into the words of the service they come from."""

    def __init__(self, database: Database, authority: Authority, realtime: Realtime) -> None:
        self._database = database
        self._authority = authority
        self._realtime = realtime
        self._rest = Rest(database)

    def app(self) -> Starlette:
        rest_methods = ["GET", "HEAD", "POST", "PATCH", "DELETE"]
        return Starlette(
            routes=[
                Route("/healthz", self.health),
                Route("/rest/v1/rpc/{name}", self.call, methods=["GET", "HEAD", "POST"]),
                Route("/rest/v1/{name}", self.table, methods=rest_methods),
                Route("/auth/v1/health", self.auth_health),
                Route("/auth/v1/user", self.user),
                Route("/auth/v1/{path:path}", self.auth_not_built, methods=["GET", "POST", "PUT", "DELETE"]),
                Route("/realtime/v1/api/broadcast", self.broadcast, methods=["POST"]),
                WebSocketRoute("/realtime/v1/websocket", self._realtime.connect),
            ],
            middleware=[Middleware(LoopbackOnly)],
            exception_handlers={Problem: _answer_problem, HTTPException: _answer_http},
        )

    async def health(self, _request: Request) -> Response:
        await self._database.ping()
        return JSONResponse({"status": "ok"})

    async def table(self, request: Request) -> Response:
        caller = self._caller(request)
        return await self._rest.table(caller, read_asked(request, await read_body(request)))

    async def call(self, request: Request) -> Response:
        caller = self._caller(request)
        return await self._rest.function(caller, read_asked(request, await read_body(request)))

    async def auth_health(self, _request: Request) -> Response:
        return JSONResponse({"name": "GoTrue", "version": "semo_hub", "description": "tokens of one machine"})

    async def user(self, request: Request) -> Response:
        """Who the token belongs to, in GoTrue's form."""
        caller = self._caller(request)
        async with self._database.admin() as connection:
            cursor = await connection.execute(
                "select id::text, coalesce(email, ''), to_json(created_at) #>> '{}', raw_app_meta_data,"
                " raw_user_meta_data from auth.users where id::text = %s",
                [caller.claims.get("sub")],
            )
            row = await cursor.fetchone()
        if row is None:
            return JSONResponse({"code": 403, "error_code": "user_not_found", "msg": "User not found"}, 403)
        user_id, email, created_at, app_metadata, user_metadata = row
        return JSONResponse(
            {
                "id": user_id,
                "aud": "authenticated",
                "role": caller.role,
                "email": email,
                "phone": "",
                "app_metadata": app_metadata,
                "user_metadata": user_metadata,
                "identities": [],
                "created_at": created_at,
                "is_anonymous": False,
            }
        )

    async def auth_not_built(self, request: Request) -> Response:
        path = request.url.path
        message = f"{path} is not built in this hub: use a token from the credentials folder of its state"
        return JSONResponse({"code": 404, "error_code": "not_built", "msg": message}, 404)

    async def broadcast(self, request: Request) -> Response:
        caller = self._caller(request)
        return await self._realtime.broadcast_over_http(caller, await read_body(request))

    def _caller(self, request: Request) -> Caller:
        """Raises Problem with the status 401 that the real gateway gives."""
        apikey = request.headers.get("apikey") or request.query_params.get("apikey") or ""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            return self._authority.identify(apikey, token.strip() if scheme.lower() == "bearer" else None)
        except UnknownKey as err:
            raise HTTPException(401, "Invalid API key" if apikey else "No API key found in request") from err
        except BadToken as err:
            code = "PGRST303" if err.expired_for is not None else "PGRST301"
            raise Problem(401, code, str(err)) from err


async def read_body(request: Request) -> bytes:
    """The whole body. Raises HTTPException (413) when it is larger than MAX_BODY."""
    body = bytearray()
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise _too_large()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise _too_large()
    return bytes(body)


def _too_large() -> HTTPException:
    return HTTPException(413, f"The body is larger than {MAX_BODY // 1024 // 1024} MiB: send it in smaller parts.")


def _refusal(scope: Scope) -> str | None:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    if not _is_loopback(host):
        return f"The hub answers on loopback only, not as {host}: use http://127.0.0.1."
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
        return "The hub does not answer to other web sites."
    return None


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


async def _answer_problem(_request: Request, err: Exception) -> Response:
    assert isinstance(err, Problem)  # noqa: S101 (the table of handlers says so)
    challenge = {"www-authenticate": "Bearer"} if err.status == 401 else {}
    headers = {**challenge, "proxy-status": f"PostgREST; error={err.code}"}
    return JSONResponse(err.body, err.status, headers)


async def _answer_http(_request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)  # noqa: S101 (the table of handlers says so)
    return JSONResponse({"message": err.detail}, err.status_code, err.headers)
