"""`/realtime/v1`: sockets, channels and broadcasts, protocol version 1.0.0."""

import json
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from semo_hub.auth import Authority, Caller
from semo_hub.channel import Gate
from semo_hub.database import Database
from semo_hub.errors import AccessDenied
from semo_hub.exchange import Exchange, Topic, stored_payload
from semo_hub.pgoutput import Inserted
from semo_hub.phoenix import Socket
from semo_hub.policies import Policies, PolicyUnavailable
from semo_hub.problems import Problem
from semo_hub.shutdown import Shutdown

VERSION = "1.0.0"

_KEEP_MESSAGES = "72 hours"
_PRUNE = "delete from realtime.messages where inserted_at < now() - %s::interval"
_PRUNE_EVERY = 3600.0  # s


log = structlog.get_logger("semo_hub.realtime")


class Realtime:
    """Everything that the sockets of one hub share."""

    def __init__(self, database: Database, authority: Authority, *, now: Callable[[], float] = time.time) -> None:
        self.exchange = Exchange()
        self._policies = Policies(database)
        self._authority = authority
        self._now = now
        self._database = database

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one socket until either side ends it."""
        try:
            by_key = self._authority.role_of_key(websocket.query_params.get("apikey", ""))
        except AccessDenied as err:
            await websocket.send_denial_response(JSONResponse({"message": str(err)}, 401))
            return
        if websocket.query_params.get("vsn", VERSION) != VERSION:
            message = f"This hub speaks version {VERSION} of the protocol only."
            await websocket.send_denial_response(JSONResponse({"message": message}, 400))
            return
        await websocket.accept()
        gate = Gate(self._authority, self._policies, by_key, self._now)
        await Socket(websocket, self.exchange, gate, self._now).serve()

    def deliver_stored(self, inserted: Inserted) -> None:
        """Hand on a row of realtime.messages that was just committed."""
        row = inserted.row
        if row["extension"] != "broadcast" or row["topic"] is None:
            return
        payload = stored_payload(row["id"] or "", row["event"] or "", row["payload"] or "null")
        self.exchange.broadcast(Topic(row["topic"], row["private"] == "t"), payload)

    async def broadcast_over_http(self, caller: Caller, body: bytes) -> Response:
        """POST /realtime/v1/api/broadcast: 202; what the caller may not send is left out silently."""
        try:
            messages = [_read_message(message) for message in json.loads(body)["messages"]]
        except (ValueError, KeyError, TypeError) as err:
            return JSONResponse({"errors": {"messages": [f"is invalid: {err}"]}}, 422)
        for topic, payload in messages:
            try:
                if await self._policies.may_write(caller, topic):
                    self.exchange.broadcast(topic, payload)
            except PolicyUnavailable as err:
                return JSONResponse({"message": str(err)}, 503)
        return Response(status_code=202)

    async def prune(self, shutdown: Shutdown) -> None:
        """Delete messages that nobody will ask for again, once an hour until `shutdown`."""
        while not await shutdown.within(_PRUNE_EVERY):
            try:
                async with self._database.admin() as connection:
                    await connection.execute(_PRUNE, [_KEEP_MESSAGES])
            except Problem as err:
                # The next hour will do: a database that is just restarting must not end the hub.
                log.warning("old messages were not deleted", error=err.message)


def _read_message(message: dict[str, Any]) -> tuple[Topic, str]:
    topic, event, payload = message["topic"], message["event"], message["payload"]
    if not isinstance(topic, str) or not isinstance(event, str) or not isinstance(payload, dict):
        raise TypeError("topic and event are texts, payload is an object")
    envelope = {"type": "broadcast", "event": event, "payload": payload}
    return Topic(topic, bool(message.get("private", False))), json.dumps(envelope)
