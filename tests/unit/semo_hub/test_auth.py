"""Keys and tokens."""

import json
from pathlib import Path

import jwt
import pytest

from semo_hub.auth import Authority, Keys, is_opaque_key
from semo_hub.errors import BadToken, BrokenFile, UnknownKey

NOW = 1_800_000_000.0
USER = "11111111-1111-4111-8111-111111111111"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load(tmp_path / "keys.json")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(keys: Keys, clock: Clock) -> Authority:
    return Authority(keys, "http://127.0.0.1:1/auth/v1", now=clock)


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first, second = Keys.load(path), Keys.load(path)
    assert vars(first) == vars(second)
    assert path.stat().st_mode & 0o777 == 0o600
    assert first.publishable_key.startswith("sb_publishable_") and first.secret_key.startswith("sb_secret_")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"jwt_secret": "only"}', '{"jwt_secret": 1}'])
def test_a_broken_key_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(BrokenFile, match=r"keys\.json"):
        Keys.load(path)
    assert path.read_text() == content


def test_keys_never_show_themselves(keys: Keys) -> None:
    assert keys.jwt_secret not in repr(keys) + str(keys)


def test_a_minted_token_has_the_claims_of_the_real_ones(authority: Authority, keys: Keys) -> None:
    token = authority.mint(sub=USER, ttl=60)
    claims = jwt.decode(
        token,
        keys.jwt_secret,
        algorithms=["HS256"],
        audience="authenticated",
        options={"verify_iat": False, "verify_exp": False},
    )
    assert set(claims) == {"iss", "sub", "aud", "role", "iat", "exp", "session_id"}
    assert (claims["sub"], claims["role"], claims["exp"]) == (USER, "authenticated", NOW + 60)


def test_a_key_in_the_place_of_a_token_is_no_user(authority: Authority, keys: Keys) -> None:
    assert authority.identify(keys.publishable_key, keys.publishable_key).role == "anon"
    assert authority.identify(keys.publishable_key, None).role == "anon"
    assert authority.identify(keys.secret_key, keys.secret_key).role == "service_role"


def test_a_token_is_the_user_it_was_minted_for(authority: Authority, keys: Keys) -> None:
    caller = authority.identify(keys.publishable_key, authority.mint(sub=USER, ttl=60))
    assert (caller.role, caller.claims["sub"], caller.expires_at) == ("authenticated", USER, NOW + 60)


@pytest.mark.parametrize("key", ["", "sb_publishable_", "sb_secret_x", "한글"])
def test_another_key_is_unknown(authority: Authority, key: str) -> None:
    with pytest.raises(UnknownKey):
        authority.identify(key, None)


def test_a_token_expires_even_when_it_was_seen_before(authority: Authority, clock: Clock) -> None:
    token = authority.mint(sub=USER, ttl=60)
    authority.verify(token)
    clock.now += 60 + 31
    with pytest.raises(BadToken) as caught:
        authority.verify(token)
    assert caught.value.expired_for == 31


def test_a_token_of_another_hub_is_refused(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    other = Authority(Keys.load(tmp_path / "other.json"), "http://127.0.0.1:2/auth/v1", now=clock)
    with pytest.raises(BadToken):
        authority.verify(other.mint(sub=USER, ttl=60))


def test_a_changed_token_is_refused(authority: Authority) -> None:
    head, body, signature = authority.mint(sub=USER, ttl=60).split(".")
    claims = json.loads(jwt.utils.base64url_decode(body)) | {"role": "service_role"}
    forged = jwt.utils.base64url_encode(json.dumps(claims).encode()).decode()
    with pytest.raises(BadToken):
        authority.verify(f"{head}.{forged}.{signature}")


def test_opaque_keys_are_told_from_tokens(authority: Authority, keys: Keys) -> None:
    assert is_opaque_key(keys.publishable_key)
    assert not is_opaque_key(authority.mint(sub=USER, ttl=60))
