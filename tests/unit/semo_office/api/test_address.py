import socket
from pathlib import Path

import pytest

from semo_office.api.address import Listener, listening, parse_listen, url_of
from semo_office.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("127.0.0.1:8080", Listener("127.0.0.1", 8080)),
        ("box.example:0", Listener("box.example", 0)),
        ("[::1]:8080", Listener("::1", 8080)),
    ],
)
def test_host_and_port_are_read(text: str, listener: Listener) -> None:
    assert parse_listen(text) == listener


@pytest.mark.parametrize(
    "text", ["", "8080", "localhost", ":8080", "a:b", "a:70000", "::1:8080", "http://a:1", "u@a:1"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"such as 127\.0\.0\.1:8080"):
        parse_listen(text)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080"])
def test_every_address_at_once_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="name the one that callers use"):
        parse_listen(text)


def test_a_host_that_was_asked_for_is_one_of_the_servers_names() -> None:
    assert Listener("box.example", 1).names == {"127.0.0.1", "localhost", "::1", "box.example"}


def test_the_address_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with listening(Listener(), tmp_path / "api.json") as first:
        url = url_of(Listener(), first)
    with listening(Listener(), tmp_path / "api.json") as second:
        assert url_of(Listener(), second) == url
        assert second.getsockname()[0] == "127.0.0.1"
    assert (tmp_path / "api.json").stat().st_mode & 0o777 == 0o600


def test_a_port_that_somebody_else_has_taken_meanwhile_is_no_obstacle(tmp_path: Path) -> None:
    with listening(Listener(), tmp_path / "api.json") as first:
        taken = first.getsockname()[1]
        with listening(Listener(), tmp_path / "api.json") as second:
            assert second.getsockname()[1] != taken


def test_a_damaged_memory_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text("{")
    with listening(Listener(), tmp_path / "api.json") as listener:
        assert listener.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"Another program listens on 127.0.0.1:{port}"),
            listening(Listener("127.0.0.1", port), tmp_path / "api.json"),
        ):
            pass


def test_a_host_that_is_not_this_machine_is_a_sentence(tmp_path: Path) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with (
            pytest.raises(ConfigurationError, match=f"can't listen on {host}"),
            listening(Listener(host, 0), tmp_path / "api.json"),
        ):
            pass
