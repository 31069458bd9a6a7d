"""Where the API listens: loopback, unless a person asked for more."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from semo_office.errors import ConfigurationError
from semo_office.locations import read_json, write_json

LOOPBACK: Final = "127.0.0.1"
_ALWAYS: Final = frozenset({LOOPBACK, "localhost", "::1"})
_PORT_MAX: Final = 65_535


@dataclass(frozen=True)
class Listener:
    """A name and a port, 0: any that is free."""

    host: str = LOOPBACK
    port: int = 0

    @property
    def names(self) -> frozenset[str]:
        """What a request's Host may be: a page elsewhere that points its own name here gets no answer."""
        return _ALWAYS | {self.host}


class LastAddress(BaseModel):
    """`run/api.json`: where the API listened last, so that it comes back there."""

    model_config = ConfigDict(frozen=True)

    port: int = Field(ge=1, le=_PORT_MAX)


def parse_listen(text: str) -> Listener:
    """HOST:PORT, an IPv6 address in brackets. Raises ConfigurationError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or port is None or parts.netloc != text or "@" in text:
        raise ConfigurationError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080.")
    if _is_unspecified(host):
        raise ConfigurationError(f"{host} is every address of this machine; name the one that callers use.")
    return Listener(host, port)


@contextmanager
def listening(wanted: Listener, remembered: Path) -> Iterator[socket.socket]:
    """A socket that listens there; of any port, the one of last time if it is free. Raises ConfigurationError."""
    port = wanted.port or _last_port(remembered)
    try:
        listener = _bind(wanted.host, port)
    except OSError as err:
        if wanted.port or err.errno != errno.EADDRINUSE:
            raise _unusable(wanted, err) from err
        listener = _bind(wanted.host, 0)
    with listener:
        write_json(remembered, LastAddress(port=listener.getsockname()[1]))
        yield listener


def url_of(wanted: Listener, listener: socket.socket) -> str:
    """How callers reach it."""
    host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _bind(host: str, port: int) -> socket.socket:
    # Only stream sockets by TCP's own name: else asyncio leaves Nagle's algorithm on, 40 ms a request.
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def _last_port(remembered: Path) -> int:
    try:
        return read_json(remembered, LastAddress).port
    except ConfigurationError:
        # Missing or damaged, it says nothing: any port will do.
        return 0


def _unusable(wanted: Listener, err: OSError) -> ConfigurationError:
    where = f"{wanted.host}:{wanted.port}"
    if err.errno == errno.EADDRINUSE:
        return ConfigurationError(f"Another program listens on {where}; choose another port with --listen.")
    return ConfigurationError(f"The API can't listen on {where}: {err.strerror}. Choose another with --listen.")


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
