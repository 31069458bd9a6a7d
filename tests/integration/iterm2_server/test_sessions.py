"""Tabs, windows and panes; typing, variables, closing and restarting."""

import asyncio
import json
import sys

import iterm2
import pytest
from iterm2 import api_pb2, rpc

from tests.integration.iterm2_server.client import PATIENCE, Client, lives
from tests.iterm2_server.running import RunningITerm2

_Created = api_pb2.CreateTabResponse
_STAYS = {"Close Sessions On End": False}


async def test_the_app_of_the_library_sees_windows_tabs_and_sessions(client: Client) -> None:
    made = await client.open("/bin/cat", properties={"Name": "cat of mine"})
    app = await iterm2.async_get_app(client.connection)
    assert app is not None

    session = app.get_session_by_id(made.session_id)
    assert session is not None
    window, tab = app.get_tab_and_window_for_session(session)
    assert window is not None
    assert tab is not None
    assert (window.window_id, tab.tab_id) == (made.window_id, str(made.tab_id))
    assert session.name == "cat of mine"
    assert session.grid_size is not None
    assert (session.grid_size.width, session.grid_size.height) == (80, 25)


async def test_what_is_typed_reaches_the_program_and_its_output_the_screen(client: Client) -> None:
    session = (await client.open("/bin/sh")).session_id

    assert await client.send(session, "echo 한글-$((6*7))\r") == api_pb2.SendTextResponse.OK
    await client.shows(session, "한글-42")


async def test_a_program_has_a_terminal_a_folder_and_the_ids_of_iterm2(client: Client) -> None:
    program = (
        "import os; print(os.ttyname(0), os.getcwd(), os.getsid(0) == os.getpid(), os.environ['ITERM_SESSION_ID'])"
    )
    folder = {"Custom Directory": "Yes", "Working Directory": "/usr", "Close Sessions On End": False, "Columns": 200}
    session = (await client.open(f'{sys.executable} -S -c "{program}"', properties=folder)).session_id

    rows = await client.shows(session, session)
    tty, cwd, leads, ids = rows[0].split()
    assert (tty, cwd, leads) == (await client.variable(session, "tty"), "/usr", "True")
    assert ids.endswith(f"p0:{session}")


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"profile": "Nobody"}, _Created.INVALID_PROFILE_NAME),
        ({"profile": "Other"}, _Created.OK),
        ({"window": "pty-none"}, _Created.INVALID_WINDOW_ID),
        ({"command": "echo $$NAME$$"}, _Created.MISSING_SUBSTITUTION),
    ],
)
async def test_a_tab_that_can_not_be_made_has_a_status(client: Client, wish: dict[str, str], status: int) -> None:
    before = await client.session_ids()

    answer = (await rpc.async_create_tab(client.connection, **wish)).create_tab_response  # type: ignore[arg-type]

    assert answer.status == status
    assert (len(await client.session_ids()) > len(before)) == (status == _Created.OK)


async def test_an_index_beyond_the_last_tab_is_told_and_the_tab_is_made(client: Client) -> None:
    window = (await client.open("/bin/cat")).window_id

    answer = (await rpc.async_create_tab(client.connection, window=window, index=9)).create_tab_response

    assert answer.status == _Created.INVALID_TAB_INDEX
    assert answer.session_id in await client.session_ids()


async def test_a_tab_made_in_the_background_is_not_selected(client: Client) -> None:
    first = await client.open("/bin/cat")
    await client.open("/bin/cat", window=first.window_id, select=False)
    app = await iterm2.async_get_app(client.connection)
    assert app is not None

    window = app.get_window_by_id(first.window_id)
    assert window is not None
    assert len(window.tabs) == 2
    assert window.selected_tab_id == str(first.tab_id)


async def test_a_split_shares_the_space_of_its_tab(client: Client) -> None:
    session = await client.quiet()

    answer = (await rpc.async_split_pane(client.connection, session, True, False)).split_pane_response

    assert answer.status == api_pb2.SplitPaneResponse.OK
    columns = [await client.variable(each, "columns") for each in (session, answer.session_id[0])]
    assert columns == [40, 39]


async def test_all_tabs_of_a_window_have_its_size(client: Client) -> None:
    first = await client.open("/bin/cat")
    second = (await client.open("/bin/cat", window=first.window_id)).session_id

    size = json.dumps({"width": 100, "height": 30})
    answer = await rpc.async_set_property(client.connection, "grid_size", size, session_id=first.session_id)

    assert answer.set_property_response.status == api_pb2.SetPropertyResponse.OK
    assert [await client.variable(second, name) for name in ("columns", "rows")] == [100, 30]


async def test_the_grid_size_property_is_one_less_in_each_direction(client: Client) -> None:
    session = await client.quiet()

    answer = await rpc.async_get_property(client.connection, "grid_size", session_id=session)

    assert json.loads(answer.get_property_response.json_value) == {"width": 79, "height": 24}


async def test_user_variables_can_be_set_and_no_others(client: Client) -> None:
    session = await client.quiet()

    async def status(name: str) -> int:
        answer = await rpc.async_variable(client.connection, session, sets=[(name, '{"a": "가"}')])
        return int(answer.variable_response.status)

    assert await status("user.tag") == api_pb2.VariableResponse.OK
    assert await status("tty") == api_pb2.VariableResponse.INVALID_NAME
    assert await status("user.two.levels") == api_pb2.VariableResponse.INVALID_NAME
    assert await client.variable(session, "user.tag") == {"a": "가"}
    everything = await client.variable(session, "*")
    assert everything["user.tag"] == {"a": "가"}
    assert everything["pid"] == everything["jobPid"]


async def test_titles_of_the_program_are_variables(client: Client) -> None:
    session = await client.quiet()

    await client.inject(session, "\x1b]2;window 창\x07\x1b]1;icon\x1b\\\x07")

    names = ("terminalWindowName", "terminalIconName", "name", "bellCount")
    assert [await client.variable(session, name) for name in names] == ["window 창", "icon", "window 창", 1]


async def test_names_and_titles_are_set_by_the_methods_of_the_library(client: Client) -> None:
    made = await client.open("/bin/cat")
    app = await iterm2.async_get_app(client.connection)
    assert app is not None
    session, tab = app.get_session_by_id(made.session_id), app.get_tab_by_id(str(made.tab_id))
    assert session is not None
    assert tab is not None

    await session.async_set_name('일 "하나"')
    await tab.async_set_title("tab")

    assert await session.async_get_variable("name") == '일 "하나"'
    assert await tab.async_get_variable("title") == "tab"
    await tab.async_set_variable("user.note", [1])
    assert await tab.async_get_variable("user.note") == [1]
    with pytest.raises(iterm2.RPCException):
        await session.async_invoke_function("unheard_of(a: 1)")


async def test_a_session_that_stays_after_its_program_can_be_read_but_not_typed_to(client: Client) -> None:
    session = (await client.open("/bin/sh -c 'echo last words'", properties=_STAYS)).session_id

    rows = await client.shows(session, "Session Ended")

    assert rows[0] == "last words"
    assert await client.send(session, "x") == api_pb2.SendTextResponse.SESSION_NOT_FOUND


async def test_a_program_that_can_not_be_started_says_why(client: Client) -> None:
    session = (await client.open("/no/such/program", properties=_STAYS)).session_id

    await client.shows(session, "The program '/no/such/program' can't be started")


async def test_closing_hangs_up_on_the_program(client: Client) -> None:
    session = await client.quiet()
    pid = await client.variable(session, "pid")
    await client.hear(api_pb2.NOTIFY_ON_TERMINATE_SESSION)

    answer = await rpc.async_close(client.connection, sessions=[session, "nobody"], force=True)

    statuses = [api_pb2.CloseResponse.OK, api_pb2.CloseResponse.NOT_FOUND]
    assert list(answer.close_response.statuses) == statuses
    assert await client.until(lambda: [told.session_id for told in client.heard]) == [session]
    async with asyncio.timeout(PATIENCE):
        while lives(pid):
            await client.layout()


async def test_without_force_a_session_that_asks_first_is_not_closed(client: Client) -> None:
    session = await client.quiet(**{"Prompt Before Closing 2": 1})

    answer = await rpc.async_close(client.connection, sessions=[session])

    assert list(answer.close_response.statuses) == [api_pb2.CloseResponse.USER_DECLINED]
    assert session in await client.session_ids()


async def test_a_restart_gives_a_new_id_and_keeps_the_variables(client: Client) -> None:
    session = await client.quiet()
    await rpc.async_variable(client.connection, session, sets=[("user.tag", '"mine"')])
    before = await client.variable(session, "pid")

    await client.hear(api_pb2.NOTIFY_ON_LAYOUT_CHANGE)

    answer = await rpc.async_restart_session(client.connection, session, False)

    assert answer.restart_session_response.status == api_pb2.RestartSessionResponse.OK
    await client.until(lambda: client.heard)
    (new,) = await client.session_ids()
    assert new != session
    assert await client.variable(new, "user.tag") == "mine"
    assert await client.variable(new, "pid") != before
    again = await rpc.async_restart_session(client.connection, new, True)
    assert again.restart_session_response.status == api_pb2.RestartSessionResponse.SESSION_NOT_RESTARTABLE


async def test_who_listens_to_a_session_listens_on_after_its_restart(client: Client) -> None:
    session = await client.quiet()
    await client.hear(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session=session)

    # The library has to be told to take what comes for any session.
    any_session = (None, api_pb2.NOTIFY_ON_SCREEN_UPDATE)
    iterm2.notifications._register_notification_handler_impl(any_session, client.on_notification)
    await rpc.async_restart_session(client.connection, session, False)

    told = await client.until(lambda: client.heard)
    assert [told[0].session] == await client.session_ids()
    assert told[0].session != session


async def test_programs_end_with_the_server() -> None:
    with RunningITerm2.start("--windows", "0") as app:
        program = f"{sys.executable} -S -c \"import signal, time; signal.signal(1, 1); print('up'); time.sleep(1000)\""
        with app.connecting():
            client = await Client.connect()
        session = (await client.open(program)).session_id
        await client.shows(session, "up")
        pid = await client.variable(session, "pid")
        await client.close()
    assert not lives(pid)
