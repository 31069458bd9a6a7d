"""Server-sent events of the API, and its end."""

import asyncio
import json

import httpx

from tests.integration.office.asking import (
    JOB,
    Api,
    completing,
    listening_to,
    refused,
    until,
)


async def test_sessions_ends_of_commands_and_jobs_are_told_as_they_change(api: Api, client: httpx.AsyncClient) -> None:
    async with listening_to(client, f"{api.office}/events") as events:
        opened = await until(events, lambda event: event.name == "open")
        assert opened.id == str(opened.data["version"])
        session_id = await api.party.new_session()
        told = await until(events, lambda event: event.name == "session" and event.data["status"] == "ready")
        assert told.data["session_id"] == str(session_id)
        added = await client.post(f"{api.office}/jobs", json=JOB)
        told = await until(events, lambda event: event.name == "job")
        assert (told.data, told.id) == (added.json(), str(added.json()["version"]))
        sent = await client.post(f"{api.office}/sessions/{session_id}/prompt", json={"prompt": "secret"})
        command = await api.party.claim_one()
        await completing(api.party, "out")(command)
        told = await until(events, lambda event: event.name == "command" and event.data["id"] == str(command.id))
        assert (told.data["id"], told.data["status"]) == (sent.json()["command"]["id"], "completed")
        assert "secret" not in json.dumps(told.data)


async def test_who_comes_back_is_told_what_happened_meanwhile(api: Api, client: httpx.AsyncClient) -> None:
    await api.party.new_session()
    async with listening_to(client, f"{api.office}/events") as events:
        last = (await until(events, lambda event: event.name == "session")).id
    job = (await client.post(f"{api.office}/jobs", json=JOB)).json()
    async with listening_to(client, f"{api.office}/events", last) as events:
        assert (await until(events, lambda event: event.name == "job")).data == job


async def test_a_stream_ends_for_who_is_expelled(api: Api) -> None:
    viewer = api.member("viewer")
    async with api.client(viewer) as client, listening_to(client, f"{api.office}/events") as events:
        await until(events, lambda event: event.name == "open")
        api.expel(viewer)
        last = await until(events, lambda event: event.name == "error")
        assert last.data["error"] == "not_found"
        assert [event async for event in events] == []


async def test_an_id_that_no_event_had_is_422(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    for path in (f"{api.office}/events", f"{api.office}/sessions/{session_id}/output"):
        answer = await client.get(path, headers={"Accept": "text/event-stream", "Last-Event-ID": "soon"})
        assert refused(answer) == (422, "invalid_payload")


async def test_a_stop_ends_waits_and_streams_at_once(api: Api, client: httpx.AsyncClient) -> None:
    session_id = await api.party.new_session()
    asking = asyncio.ensure_future(
        client.post(f"{api.office}/sessions/{session_id}/prompt", json={"prompt": "x"}, params={"wait": 60})
    )
    command = await api.party.claim_when_there()
    async with listening_to(client, f"{api.office}/events") as events:
        await until(events, lambda event: event.name == "open")
        api.stop.set()
        assert [event.name async for event in events if event.name == "error"] == []
    answer = await asking
    assert (answer.status_code, answer.json()["command"]["id"]) == (202, str(command.id))
