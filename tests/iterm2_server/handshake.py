"""Who may connect: what iTerm2 looks at before a client is let in."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request

SUBPROTOCOL = "api.iterm2.com"
_OLDEST_LIBRARY = (0, 24)
_VERSION = re.compile(r"python (\d+)\.(\d+)\Z")
_REQUIRED = {
    "Host": re.compile(r"localhost\Z"),
    "Origin": re.compile(r"ws://localhost/\Z"),
    "x-iterm2-library-version": re.compile(r"\S+ \d+\.\d+"),
    "Sec-WebSocket-Protocol": re.compile(rf"(.*,)?\s*{re.escape(SUBPROTOCOL)}\s*(,.*)?\Z"),
}


@dataclass
class Cookies:
    """The cookies that were given out, and until when each is good; None is for one use."""

    good_until: dict[str, float | None] = field(default_factory=dict)
    refused: bool = False
    """Whether none is taken for now."""

    def issue(self, lifetime: float | None = None) -> str:
        """A new cookie; lifetime: s in which it may be used again and again."""
        cookie = secrets.token_hex(16)
        self.accept(cookie, lifetime)
        return cookie

    def accept(self, cookie: str, lifetime: float | None = None) -> None:
        self.good_until[cookie] = None if lifetime is None else time.monotonic() + lifetime

    def redeem(self, cookie: str) -> bool:
        """Whether it is good, now; one for a single use is good no more."""
        if self.refused or cookie not in self.good_until:
            return False
        until = self.good_until[cookie]
        if until is None or until < time.monotonic():
            del self.good_until[cookie]
        return until is None or until >= time.monotonic()


@dataclass
class Doorkeeper:
    """Refuses with the status and the words that iTerm2 has for it."""

    cookies: Cookies = field(default_factory=Cookies)
    allows_all: bool = False
    """The setting “allow all apps to connect”."""

    def refusal(self, request: Request) -> tuple[HTTPStatus, str] | None:
        """Why this client is not let in; None for those who are."""
        if request.path != "/" or any(not _matches(request.headers, name) for name in _REQUIRED):
            return HTTPStatus.BAD_REQUEST, "Bad request"
        if _is_too_old(request.headers["x-iterm2-library-version"]):
            return HTTPStatus.NOT_ACCEPTABLE, "Library version too old"
        if not self._admits(request.headers):
            return HTTPStatus.UNAUTHORIZED, "Unauthorized"
        return None

    def _admits(self, headers: Mapping[str, str]) -> bool:
        cookie = headers.get("x-iterm2-cookie")
        return (cookie is not None and self.cookies.redeem(cookie)) or (self.allows_all and not self.cookies.refused)


def _matches(headers: Headers, name: str) -> bool:
    return (value := headers.get(name)) is not None and _REQUIRED[name].match(value) is not None


def _is_too_old(library: str) -> bool:
    version = _VERSION.match(library)
    return version is not None and (int(version[1]), int(version[2])) < _OLDEST_LIBRARY
