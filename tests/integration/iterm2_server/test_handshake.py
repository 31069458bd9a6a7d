"""Who is let in, and how the others are refused."""

import iterm2
import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.integration.iterm2_server.client import Client
from tests.iterm2_server.running import COOKIE, RunningITerm2
from tests.iterm2_server.server import api_socket

_HEADERS = {"x-iterm2-library-version": "python 2.30", "x-iterm2-disable-auth-ui": "true", "x-iterm2-cookie": COOKIE}


async def refused(app: RunningITerm2, changes: dict[str, str | None], *, path: str = "/") -> int:
    """The status that a handshake with changed headers is refused with; 101 where it is not."""
    changed = {**_HEADERS, **changes}
    headers = {name: value for name, value in changed.items() if value is not None and name != "Subprotocol"}
    connecting = unix_connect(
        str(api_socket(app.home)),
        f"ws://localhost{path}",
        origin="ws://localhost/",
        additional_headers=headers,
        subprotocols=[Subprotocol(changed.get("Subprotocol") or "api.iterm2.com")],
    )
    try:
        async with connecting:
            return 101
    except InvalidStatus as err:
        return err.response.status_code


async def test_the_library_connects_and_learns_the_protocol_version(client: Client) -> None:
    assert client.connection.iterm2_protocol_version == (1, 17)


@pytest.mark.parametrize(
    ("changes", "path", "status"),
    [
        ({}, "/", 101),
        ({"x-iterm2-library-version": None}, "/", 400),
        ({"Subprotocol": "chat"}, "/", 400),
        ({}, "/elsewhere", 400),
        ({"x-iterm2-library-version": "python 0.23"}, "/", 406),
        ({"x-iterm2-cookie": None}, "/", 401),
        ({"x-iterm2-cookie": "bad"}, "/", 401),
    ],
)
async def test_a_handshake_is_answered_as_iterm2_answers_it(
    iterm2_app: RunningITerm2, changes: dict[str, str | None], path: str, status: int
) -> None:
    assert await refused(iterm2_app, changes, path=path) == status


async def test_a_cookie_is_for_one_use_unless_it_has_a_lifetime(iterm2_app: RunningITerm2) -> None:
    once = {"x-iterm2-cookie": iterm2_app.by_hand("cookie")}
    reusable = {"x-iterm2-cookie": iterm2_app.by_hand("cookie", lifetime=60)}

    assert [await refused(iterm2_app, once) for _ in range(2)] == [101, 401]
    assert [await refused(iterm2_app, reusable) for _ in range(2)] == [101, 101]


async def test_without_a_cookie_only_all_apps_allowed_lets_in(iterm2_app: RunningITerm2) -> None:
    iterm2_app.by_hand("allow_all_apps")
    try:
        assert await refused(iterm2_app, {"x-iterm2-cookie": None}) == 101
    finally:
        iterm2_app.by_hand("allow_all_apps", allowed=False)


async def test_refused_cookies_make_the_library_ask_for_another(at_home: RunningITerm2) -> None:
    at_home.by_hand("refuse_cookies")
    try:
        # The library asks by AppleScript, which is not there.
        with pytest.raises(FileNotFoundError):
            await Client.connect()
    finally:
        at_home.by_hand("refuse_cookies", refused=False)


async def test_a_library_that_is_too_old_ends_its_process(
    at_home: RunningITerm2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iterm2.connection, "__version__", "0.23")

    with pytest.raises(SystemExit):
        await Client.connect()


async def test_there_is_no_socket_while_the_api_is_disabled(at_home: RunningITerm2) -> None:
    at_home.by_hand("disable_api")
    try:
        assert not api_socket(at_home.home).exists()
    finally:
        at_home.by_hand("enable_api")
    await (await Client.connect()).close()
