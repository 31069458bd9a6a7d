"""Who is let in: keys, tokens, loopback, and what the files of a hub give away."""

import json
import stat
import time
from collections.abc import AsyncIterator

import httpx
import jwt
import pytest

from tests.integration.hub_fixture import RunningHub

ONE = "/rest/v1/rpc/one"
USER = "11111111-1111-4111-8111-111111111111"


async def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(http: httpx.AsyncClient) -> None:
    missing, wrong = await http.post(ONE), await http.post(ONE, headers={"apikey": "sb_publishable_wrong"})
    assert (missing.status_code, missing.json()["message"]) == (401, "No API key found in request")
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")


async def test_the_publishable_key_alone_is_the_role_anon(hub: RunningHub, http: httpx.AsyncClient) -> None:
    key = hub.keys.publishable_key
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    assert (await http.post(ONE, headers=headers)).json() == 1
    refused = await http.get("/rest/v1/notes", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "42501")


async def test_the_secret_key_alone_is_the_role_service(hub: RunningHub, http: httpx.AsyncClient) -> None:
    key = hub.keys.secret_key
    answer = await http.post("/rest/v1/rpc/setting", json={"name": "role"}, headers={"apikey": key})
    assert answer.json() == "service_role"


def forged(hub: RunningHub, **changes: object) -> str:
    claims = {"sub": USER, "role": "authenticated", "exp": int(time.time()) + 60, **changes}
    return jwt.encode(claims, hub.keys.jwt_secret, algorithm="HS256")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("other secret", "PGRST301"),
        ("no signature", "PGRST301"),
        ("other algorithm", "PGRST301"),
        ("other role", "PGRST301"),
        ("no end", "PGRST301"),
        ("rubbish", "PGRST301"),
        ("expired", "PGRST303"),
    ],
)
async def test_a_token_that_is_not_good_is_refused(
    hub: RunningHub, http: httpx.AsyncClient, what: str, code: str
) -> None:
    claims = {"sub": USER, "role": "authenticated", "exp": int(time.time()) + 60}
    tokens = {
        "other secret": jwt.encode(claims, "x" * 64, algorithm="HS256"),
        "no signature": jwt.encode(claims, "", algorithm="none"),
        "other algorithm": jwt.encode(claims, hub.keys.jwt_secret, algorithm="HS512"),
        "other role": forged(hub, role="postgres"),
        "no end": jwt.encode({"sub": USER, "role": "authenticated"}, hub.keys.jwt_secret, algorithm="HS256"),
        "expired": forged(hub, exp=int(time.time()) - 60),
        "rubbish": "rubbish",
    }
    headers = {"apikey": hub.keys.publishable_key, "Authorization": f"Bearer {tokens[what]}"}
    answer = await http.post(ONE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize("name", ["operator", "server", "host"])
async def test_the_processes_of_this_machine_find_their_credentials(
    hub: RunningHub, http: httpx.AsyncClient, name: str
) -> None:
    path = hub.state_dir / "credentials" / f"{name}.json"
    credentials = json.loads(path.read_text())
    headers = {
        "apikey": credentials["publishable_key"],
        "Authorization": f"Bearer {credentials['access_token']}",
    }
    user = (await http.get("/auth/v1/user", headers=headers)).json()
    assert (user["id"], credentials["url"]) == (credentials["user_id"], hub.url)
    assert credentials["expires_at"] > time.time() + 6 * 86400


def test_nothing_in_the_state_folder_is_open_to_others(hub: RunningHub) -> None:
    for path in [p for p in hub.state_dir.rglob("*") if p.name != "hub.log" and "data" not in p.parts]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


async def test_the_log_holds_no_key_and_no_token(hub: RunningHub, http: httpx.AsyncClient) -> None:
    token = hub.token_for(USER)
    await http.get(f"/rest/v1/notes?apikey={hub.keys.publishable_key}", headers={"Authorization": f"Bearer {token}"})
    for secret in (hub.keys.jwt_secret, hub.keys.secret_key, hub.keys.publishable_key, token):
        assert secret not in hub.log


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7:80", ""])
async def test_only_loopback_names_are_answered(hub: RunningHub, http: httpx.AsyncClient, host: str) -> None:
    answer = await http.get("/healthz", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert (await http.get("/healthz", headers={"Host": "localhost:1"})).status_code == 200
    assert (await http.get("/healthz", headers={"Host": "[::1]"})).status_code == 200


async def test_another_web_site_is_refused_and_gets_no_cors_headers(hub: RunningHub, http: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
        answer = await http.post(ONE, headers={"Origin": origin, "apikey": hub.keys.publishable_key})
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_body_has_a_limit(hub: RunningHub, http: httpx.AsyncClient, user_id: str) -> None:
    headers = {"apikey": hub.keys.publishable_key, "Authorization": f"Bearer {hub.token_for(user_id)}"}
    large = {"title": "x" * 1_500_000}
    assert (await http.post("/rest/v1/notes", json=large, headers=headers)).status_code == 201
    too_large = {"title": "x" * 4_200_000}
    assert (await http.post("/rest/v1/notes", json=too_large, headers=headers)).status_code == 413


async def test_a_body_without_a_length_has_the_same_limit(hub: RunningHub, http: httpx.AsyncClient) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"x" * 65_536

    answer = await http.post("/rest/v1/notes", content=flood(), headers={"apikey": hub.keys.publishable_key})
    assert answer.status_code == 413


async def test_what_is_not_built_says_so(hub: RunningHub, http: httpx.AsyncClient) -> None:
    headers = {"apikey": hub.keys.publishable_key}
    answer = await http.post("/auth/v1/token?grant_type=password", json={}, headers=headers)
    assert answer.status_code == 404
    assert "not built in this hub" in answer.json()["msg"]


async def test_health_is_told_without_a_key(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/auth/v1/health")).status_code == 200
