"""One topic joined by one client: who it is, what it may do, and for how long that is known."""

import json
from collections.abc import Callable
from typing import Any

from semo_hub.auth import Authority, Caller, is_opaque_key
from semo_hub.errors import AccessDenied, BadToken
from semo_hub.exchange import Exchange, Outbox, Topic
from semo_hub.policies import Policies, PolicyUnavailable

PREFIX = "realtime:"

_RECHECK_EVERY = 300.0  # s


class Gate:
    """Decides about the tokens and topics of one socket."""

    def __init__(self, authority: Authority, policies: Policies, by_key: Caller, now: Callable[[], float]) -> None:
        """`by_key`: who asks as long as there is no token."""
        self._authority = authority
        self._policies = policies
        self._by_key = by_key
        self._now = now

    def caller_of(self, token: object) -> Caller:
        """Whom a token stands for; an API key or nothing in its place stands for the key of the socket.

        Raises BadToken.
        """
        if not isinstance(token, str) or is_opaque_key(token):
            return self._by_key
        caller = self._authority.verify(token)
        self.require_valid(caller)
        return caller

    def require_valid(self, caller: Caller) -> None:
        """Raises BadToken once the token of `caller` has expired; here without any leeway."""
        expired_for = self._now() - caller.expires_at if caller.expires_at is not None else -1
        if expired_for >= 0:
            raise BadToken(f"Token has expired {int(expired_for)} seconds ago", expired_for=expired_for)

    async def require_read(self, caller: Caller, topic: Topic) -> None:
        """Raises AccessDenied or PolicyUnavailable."""
        if not await self._policies.may_read(caller, topic):
            raise AccessDenied(f"You do not have permissions to read from this Channel topic: {topic.name}")

    async def may_write(self, caller: Caller, topic: Topic) -> bool:
        """Raises PolicyUnavailable."""
        return await self._policies.may_write(caller, topic)

    def next_check(self, caller: Caller) -> float:
        """When to look again (unix time): a token may have expired, a right may have been taken away."""
        later = self._now() + _RECHECK_EVERY
        return later if caller.expires_at is None else min(later, caller.expires_at)


class Channel:
    """A joined topic."""

    def __init__(
        self,
        topic: Topic,
        join_ref: str | None,
        config: dict[str, Any],
        caller: Caller,
        gate: Gate,
        outbox: Outbox,
    ) -> None:
        """`config`: the broadcast settings of the join, `self` and `ack`."""
        self.topic = topic
        self.join_ref = join_ref
        self.wants_ack = bool(config.get("ack"))
        self._wants_own = bool(config.get("self"))
        self._caller = caller
        self._gate = gate
        self._outbox = outbox
        self._may_write: bool | None = None
        self.recheck_at = gate.next_check(caller)

    def deliver(self, frame: str) -> None:
        self._outbox.put(frame)

    async def renew(self, token: object) -> bool:
        """Take a new token; False when it says nothing new. Raises AccessDenied or PolicyUnavailable."""
        if not isinstance(token, str) or is_opaque_key(token):
            return False
        caller = self._gate.caller_of(token)
        if caller == self._caller:
            return False
        self._caller = caller
        await self.recheck()
        return True

    async def recheck(self) -> None:
        """Look at token and policies again. Raises AccessDenied or PolicyUnavailable."""
        self._gate.require_valid(self._caller)
        self.recheck_at = self._gate.next_check(self._caller)
        self._may_write = None
        await self._gate.require_read(self._caller, self.topic)

    async def broadcast(self, payload: dict[str, Any], exchange: Exchange) -> bool:
        """Send to everyone on the topic; False when the policies do not let this client write."""
        if self._may_write is None:
            self._may_write = await self._gate.may_write(self._caller, self.topic)
        if self._may_write:
            exchange.broadcast(self.topic, _dump(payload), sender=None if self._wants_own else self)
        return self._may_write


def _dump(payload: dict[str, Any]) -> str:
    """As short as the client wrote it: escaped, text that is not ASCII takes twice the room."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a character: it can only be sent as an escape.
        return json.dumps(payload)
    return text


def refusal_of(err: AccessDenied | PolicyUnavailable) -> str:
    """The reason in the answer to a join, in the words of the real service."""
    if isinstance(err, PolicyUnavailable):
        return f"UnableToConnectToProject: {err}"
    return f"InvalidJWTToken: {err}" if isinstance(err, BadToken) else f"Unauthorized: {err}"
