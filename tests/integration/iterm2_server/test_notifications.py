"""What clients are told, to whom, and how often."""

import asyncio
import json

import iterm2
from iterm2 import api_pb2, rpc

from tests.integration.iterm2_server.client import PATIENCE, Client
from tests.iterm2_server.running import RunningITerm2

_Status = api_pb2.NotificationResponse


async def test_new_sessions_layouts_and_ends_are_told(client: Client) -> None:
    kinds = (api_pb2.NOTIFY_ON_NEW_SESSION, api_pb2.NOTIFY_ON_LAYOUT_CHANGE, api_pb2.NOTIFY_ON_TERMINATE_SESSION)
    for kind in kinds:
        assert await client.hear(kind) == _Status.OK

    session = await client.quiet()
    await rpc.async_close(client.connection, sessions=[session], force=True)

    await client.until(lambda: len(client.heard) >= 4)
    assert [type(told).__name__ for told in client.heard] == [
        "NewSessionNotification",
        "LayoutChangedNotification",
        "LayoutChangedNotification",
        "TerminateSessionNotification",
    ]


async def test_a_second_subscription_to_the_same_is_no_error_but_says_so(client: Client) -> None:
    session = await client.quiet()

    statuses = [await client.hear(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session=session) for _ in range(2)]

    assert statuses == [_Status.OK, _Status.ALREADY_SUBSCRIBED]
    assert await client.hear(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session="nobody") == _Status.SESSION_NOT_FOUND


async def test_what_is_not_subscribed_can_not_be_unsubscribed(client: Client) -> None:
    answer = await rpc.async_notification_request(client.connection, False, api_pb2.NOTIFY_ON_NEW_SESSION)

    assert answer.notification_response.status == _Status.NOT_SUBSCRIBED


async def test_custom_sequences_reach_those_who_listen_to_all_sessions(client: Client) -> None:
    session = await client.quiet()
    heard: list[api_pb2.CustomEscapeSequenceNotification] = []
    came = asyncio.Event()

    async def on_sequence(_: iterm2.Connection, told: api_pb2.CustomEscapeSequenceNotification) -> None:
        heard.append(told)
        came.set()

    await iterm2.notifications.async_subscribe_to_custom_escape_sequence_notification(client.connection, on_sequence)
    for piece in ("\x1b]1337;Cus", "tom=id=semo:상태: 준비\x1b", "\\"):
        await client.inject(session, piece)

    async with asyncio.timeout(PATIENCE):
        await came.wait()
    assert (heard[0].session, heard[0].sender_identity, heard[0].payload) == (session, "semo", "상태: 준비")


async def test_a_watched_variable_is_told_when_it_changes(client: Client) -> None:
    session = await client.quiet()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def on_change(_: iterm2.Connection, told: api_pb2.VariableChangedNotification) -> None:
        heard.put_nowait(f"{told.identifier} {json.loads(told.json_new_value)}")

    await iterm2.notifications.async_subscribe_to_variable_change_notification(
        client.connection, on_change, api_pb2.SESSION, "user.state", "all"
    )
    await rpc.async_variable(client.connection, session, sets=[("user.state", '"일"')])

    async with asyncio.timeout(PATIENCE):
        assert await heard.get() == f"{session} 일"


async def test_a_watched_variable_of_a_tab_that_closes_disturbs_nobody(client: Client) -> None:
    made = await client.open("/bin/cat")
    monitor = api_pb2.VariableMonitorRequest(name="title", scope=api_pb2.TAB, identifier=str(made.tab_id))
    await client.hear(api_pb2.NOTIFY_ON_VARIABLE_CHANGE, variable_monitor_request=monitor)
    other = await client.quiet()
    other_monitor = api_pb2.VariableMonitorRequest(name="name", scope=api_pb2.SESSION, identifier=other)
    await client.hear(api_pb2.NOTIFY_ON_VARIABLE_CHANGE, variable_monitor_request=other_monitor)
    key = (api_pb2.SESSION, other, "name", api_pb2.NOTIFY_ON_VARIABLE_CHANGE)
    iterm2.notifications._register_notification_handler_impl(key, client.on_notification)

    await rpc.async_close(client.connection, tabs=[str(made.tab_id)], force=True)
    await client.inject(other, "\x1b]2;이름\x07")

    told = await client.until(lambda: client.heard)
    assert json.loads(told[0].json_new_value) == "이름"


async def test_the_name_of_the_job_follows_the_foreground(client: Client) -> None:
    session = (await client.open("/bin/sh")).session_id
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def on_change(_: iterm2.Connection, told: api_pb2.VariableChangedNotification) -> None:
        heard.put_nowait(json.loads(told.json_new_value))

    await client.shows(session, "#" if await client.variable(session, "username") == "root" else "")
    await iterm2.notifications.async_subscribe_to_variable_change_notification(
        client.connection, on_change, api_pb2.SESSION, "jobName", session
    )
    await client.send(session, "sleep 1000\r")

    async with asyncio.timeout(PATIENCE):
        while await heard.get() != "sleep":
            pass


async def test_prompts_commands_and_their_ends_are_told_to_those_who_asked_for_each(client: Client) -> None:
    session = await client.quiet()
    modes = [api_pb2.PROMPT, api_pb2.COMMAND_START, api_pb2.COMMAND_END]
    await client.hear(api_pb2.NOTIFY_ON_PROMPT, session=session, prompt_monitor_modes=modes)

    await client.inject(session, "\x1b]133;A\x07$ \x1b]133;B\x07ls 가\r\n\x1b]133;C\x07a\r\nb\r\n\x1b]133;D;3\x07")

    prompt, start, end = await client.until(lambda: client.heard if len(client.heard) == 3 else [])
    assert start.command_start.command == "ls 가"
    assert end.command_end.status == 3
    assert prompt.unique_prompt_id == end.unique_prompt_id
    answer = (await rpc.async_get_prompt(client.connection, session)).get_prompt_response
    assert (answer.prompt_state, answer.exit_status) == (api_pb2.GetPromptResponse.FINISHED, 3)
    assert (answer.output_range.start.y, answer.output_range.end.y) == (1, 3)


async def test_only_prompts_are_told_to_those_who_name_no_mode(client: Client) -> None:
    session = await client.quiet()
    await client.hear(api_pb2.NOTIFY_ON_PROMPT, session=session)

    await client.inject(session, "\x1b]133;A\x07$ \x1b]133;B\x07ls\r\n\x1b]133;C\x07\x1b]133;D;0\x07\x1b]133;A\x07")

    await client.until(lambda: len(client.heard) == 2)
    assert all(told.HasField("prompt") for told in client.heard)


async def test_the_streamer_of_the_library_gets_what_changed(client: Client) -> None:
    session = await client.quiet()
    app = await iterm2.async_get_app(client.connection)
    assert app is not None
    streamed = app.get_session_by_id(session)
    assert streamed is not None

    async with streamed.get_screen_streamer() as streamer:
        getting = asyncio.create_task(streamer.async_get(style=True))
        # The streamer misses what comes before it waits.
        await client.layout()
        await client.inject(session, "\x1b[32m움직임")
        async with asyncio.timeout(PATIENCE):
            contents = await getting

    assert contents is not None
    style = contents.line(0).style_at(0)
    assert contents.line(0).string == "움직임"
    assert style is not None
    assert style.fg_color is not None
    assert style.fg_color.standard == 2


async def test_a_visible_session_is_drawn_more_often_than_a_hidden_one() -> None:
    with RunningITerm2.start("--windows", "0", "--fast", "50", "--slow", "4") as app:
        with app.connecting():
            client = await Client.connect()
        seen = await client.open("/bin/sleep 1000")
        unseen = await client.open("/bin/sleep 1000", window=seen.window_id, select=False)
        both = (seen.session_id, unseen.session_id)
        for session in both:
            await client.hear(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session=session)

        async with asyncio.timeout(PATIENCE):
            while (told := [each.session for each in client.heard]).count(unseen.session_id) < 3:
                for session in both:
                    await client.inject(session, "x")

        assert told.count(seen.session_id) >= 6
        await client.close()
