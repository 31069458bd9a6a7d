"""What a person does to iTerm2 while clients are connected, and what happens to it."""

import asyncio

import pytest
from iterm2 import api_pb2, rpc
from websockets.exceptions import ConnectionClosed

from tests.integration.iterm2_server.client import PATIENCE, Client, lives
from tests.iterm2_server.running import RunningITerm2
from tests.iterm2_server.server import api_socket


async def test_a_tab_closed_by_hand_ends_only_when_it_can_not_come_back(client: Client, at_home: RunningITerm2) -> None:
    undoable, gone = await client.quiet(), await client.quiet()
    pid = await client.variable(undoable, "pid")
    await client.hear(api_pb2.NOTIFY_ON_TERMINATE_SESSION)

    at_home.by_hand("close_tab", session=undoable, undo=60)
    at_home.by_hand("close_tab", session=gone, undo=0.01)

    assert await client.session_ids() == []
    assert await client.until(lambda: [told.session_id for told in client.heard]) == [gone]
    assert lives(pid)


async def test_an_undone_close_is_a_new_session_with_the_old_id(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()
    pid = await client.variable(session, "pid")
    at_home.by_hand("close_tab", session=session, undo=60)
    await client.hear(api_pb2.NOTIFY_ON_NEW_SESSION)

    at_home.by_hand("undo_close", session=session)

    assert await client.until(lambda: [told.session_id for told in client.heard]) == [session]
    assert await client.variable(session, "pid") == pid


async def test_what_is_typed_by_hand_is_on_the_screen(client: Client, at_home: RunningITerm2) -> None:
    session = (await client.open("/bin/cat")).session_id

    at_home.by_hand("type", session=session, text="손으로")

    await client.shows(session, "손으로")


async def test_a_window_resized_by_hand_is_told_as_a_layout(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()
    await client.hear(api_pb2.NOTIFY_ON_LAYOUT_CHANGE)

    at_home.by_hand("resize_window", session=session, columns=60, rows=20)

    told = (await client.until(lambda: client.heard))[0].list_sessions_response
    sizes = [tab.root.links[0].session.grid_size for window in told.windows for tab in window.tabs]
    assert (60, 20) in [(size.width, size.height) for size in sizes]


async def test_a_dropped_connection_leaves_the_sessions(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()

    at_home.by_hand("drop_connections")
    assert client.connection.websocket is not None
    async with asyncio.timeout(PATIENCE):
        await client.connection.websocket.wait_closed()

    again = await Client.connect()
    assert session in await again.session_ids()
    await again.close()


async def test_a_frozen_app_answers_when_it_thaws(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()
    at_home.by_hand("freeze")
    asked = asyncio.create_task(client.variable(session, "rows"))
    try:
        done, _ = await asyncio.wait([asked], timeout=0.1)
        assert not done
    finally:
        at_home.by_hand("thaw")
    async with asyncio.timeout(PATIENCE):
        assert await asked == 25


async def test_sessions_outlive_a_restart_of_the_api(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()
    pid = await client.variable(session, "pid")

    at_home.by_hand("restart_api")

    again = await Client.connect()
    assert await again.variable(session, "pid") == pid
    await again.close()


@pytest.mark.parametrize("restore", [True, False])
async def test_a_restarted_app_has_new_programs_or_nothing(
    client: Client, at_home: RunningITerm2, restore: bool
) -> None:
    session = await client.quiet()
    await rpc.async_variable(client.connection, session, sets=[("user.tag", '"mine"')])
    pid = await client.variable(session, "pid")

    at_home.by_hand("restart_app", restore=restore)

    assert not lives(pid)
    again = await Client.connect()
    assert await again.session_ids() == [session] * restore
    if restore:
        assert await again.variable(session, "user.tag") == "mine"
        assert await again.variable(session, "pid") != pid
    await again.close()


async def test_programs_live_on_when_the_app_crashed(client: Client, at_home: RunningITerm2) -> None:
    session = await client.quiet()
    pid = await client.variable(session, "pid")
    window = (await client.layout()).windows[0].window_id

    at_home.by_hand("restart_app", programs="live")

    again = await Client.connect()
    assert await again.variable(session, "pid") == pid
    assert (await again.layout()).windows[0].window_id != window
    await again.close()


async def test_a_killed_app_takes_its_programs_along_and_can_start_again() -> None:
    with RunningITerm2.start("--windows", "0") as app:
        with app.connecting():
            client = await Client.connect()
        session = await client.quiet()

        app.kill()

        with pytest.raises(ConnectionClosed):
            await client.layout()
        assert api_socket(app.home).exists()
        app.launch()
        with app.connecting():
            again = await Client.connect()
        assert session not in await again.session_ids()
        await again.close()
        await client.close()


async def test_another_client_waits_while_one_is_in_a_transaction(client: Client, at_home: RunningITerm2) -> None:
    other = await Client.connect()
    await rpc.async_start_transaction(client.connection)
    asked = asyncio.create_task(other.layout())
    done, _ = await asyncio.wait([asked], timeout=0.1)
    assert not done

    await rpc.async_end_transaction(client.connection)

    async with asyncio.timeout(PATIENCE):
        await asked
    await other.close()
