import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from semo_office.config import CredentialsFile, StoredCredentials, read_credentials
from semo_office.errors import ConfigurationError
from semo_office.locations import StateFolder, write_json
from tests.unit.semo_office.fakes import EPOCH


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEMO_SUPABASE_URL", "SEMO_SUPABASE_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path).prepare()


def stored(url: str | None = "http://127.0.0.1:54321", key: str | None = "sb_publishable_x") -> StoredCredentials:
    return StoredCredentials(
        url=url, publishable_key=key, user_id="u", access_token=SecretStr("very-secret"), expires_at=EPOCH
    )


def test_what_the_hub_wrote_is_read(state: StateFolder) -> None:
    path = state.credentials_of("operator")
    path.write_text(
        json.dumps(
            {
                "url": "http://127.0.0.1:1",
                "publishable_key": "k",
                "user_id": "u",
                "access_token": "t",
                "expires_at": int(EPOCH.timestamp()),
            }
        )
    )
    credentials = read_credentials(path)
    assert (credentials.url, credentials.access_token.get_secret_value()) == ("http://127.0.0.1:1", "t")
    assert credentials.expires_at == EPOCH


def test_a_token_is_written_to_its_private_file_and_nowhere_else(state: StateFolder) -> None:
    path = state.credentials_of("host")
    write_json(path, stored())
    credentials = CredentialsFile(state, "host")()
    assert credentials.access_token.get_secret_value() == "very-secret"
    shown = [
        repr(credentials),
        str(credentials),
        credentials.model_dump_json(),
        repr(stored()),
        stored().model_dump_json(),
    ]
    assert not any("very-secret" in text for text in shown)


def test_the_file_is_read_anew_each_time(state: StateFolder) -> None:
    source = CredentialsFile(state, "host")
    write_json(source.path, stored(url="http://127.0.0.1:1"))
    assert source().url == "http://127.0.0.1:1"
    write_json(source.path, stored(url="http://127.0.0.1:2"))
    assert source().url == "http://127.0.0.1:2"


def test_the_environment_names_a_supabase(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMO_SUPABASE_URL", "https://x.supabase.co")
    monkeypatch.setenv("SEMO_SUPABASE_KEY", "sb_publishable_y")
    write_json(state.credentials_of("host"), stored(url=None, key=None))
    credentials = read_credentials(state.credentials_of("host"))
    assert (credentials.url, credentials.publishable_key) == ("https://x.supabase.co", "sb_publishable_y")


@pytest.mark.parametrize("name", ["SEMO_SUPABASE_URL", "SEMO_SUPABASE_KEY"])
def test_one_of_the_two_variables_alone_is_a_mistake(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "x")
    write_json(state.credentials_of("host"), stored())
    with pytest.raises(ConfigurationError, match="Set both"):
        read_credentials(state.credentials_of("host"))


def test_credentials_without_an_office_say_what_to_set(state: StateFolder) -> None:
    write_json(state.credentials_of("host"), stored(url=None))
    with pytest.raises(ConfigurationError, match="SEMO_SUPABASE_URL"):
        read_credentials(state.credentials_of("host"))


def test_a_damaged_file_does_not_show_what_is_in_it(state: StateFolder) -> None:
    state.credentials_of("host").write_text('{"access_token": "very-secret"')
    with pytest.raises(ConfigurationError, match="Delete it") as caught:
        read_credentials(state.credentials_of("host"))
    assert "very-secret" not in str(caught.value)
