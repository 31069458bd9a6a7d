"""Lines as iTerm2 numbers them, and cells as it tells them."""

import json

import iterm2
import pytest
from iterm2 import api_pb2, rpc

from tests.integration.iterm2_server.client import Client
from tests.iterm2_server.running import RunningITerm2


def numbered(first: int, end: int) -> str:
    return "".join(f"line {number}\r\n" for number in range(first, end))


async def test_one_read_of_the_screen_has_base_rows_and_cursor(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 100) + "한")

    screen = await client.screen(session)

    start, end = screen.windowed_coord_range.coord_range.start.y, screen.windowed_coord_range.coord_range.end.y
    assert (start, end, len(screen.contents)) == (76, 101, 25)
    assert (screen.contents[0].text, screen.contents[24].text) == ("line 76", "한")
    assert (screen.cursor.x, screen.cursor.y) == (2, 100)
    assert screen.num_lines_above_screen == 76


async def test_lines_that_are_lost_from_the_head_are_overflow(client: Client) -> None:
    session = await client.quiet(**{"Scrollback Lines": 10})
    await client.inject(session, numbered(0, 100))

    assert await client.counts(session) == {"overflow": 66, "history": 10, "grid": 25, "first_visible": 76}
    assert await client.lines(session, 66, 68) == ["line 66", "line 67"]


async def test_a_range_whose_head_is_lost_answers_with_its_end_and_the_range_that_was_asked_for(client: Client) -> None:
    session = await client.quiet(**{"Scrollback Lines": 10})
    await client.inject(session, numbered(0, 100))

    wanted = iterm2.util.WindowedCoordRange(iterm2.util.CoordRange(iterm2.util.Point(0, 60), iterm2.util.Point(0, 68)))
    answer = (await rpc.async_get_screen_contents(client.connection, session, wanted)).get_buffer_response

    assert [line.text for line in answer.contents] == ["line 66", "line 67"]
    echoed = answer.windowed_coord_range.coord_range
    assert (echoed.start.y, echoed.end.y) == (60, 68)


async def test_a_range_beyond_the_end_is_short_too(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 2))

    assert await client.lines(session, 24, 30) == [""]
    assert await client.lines(session, 200, 210) == []


async def test_the_default_scrollback_is_a_thousand_lines_and_may_be_unlimited(client: Client) -> None:
    limited, unlimited = await client.quiet(), await client.quiet(**{"Unlimited Scrollback": True})
    for session in (limited, unlimited):
        await client.inject(session, numbered(0, 3000))

    assert (await client.counts(limited))["history"] == 1000
    assert (await client.counts(unlimited))["history"] == 2976
    assert await client.lines(unlimited, 0, 1) == ["line 0"]


async def test_trailing_lines_are_the_last_ones(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 30))

    answer = await client.read(session, api_pb2.LineRange(trailing_lines=26))

    assert [line.text for line in answer.contents][:2] == ["line 5", "line 6"]


async def test_a_range_that_makes_no_sense_is_answered_with_nothing(client: Client) -> None:
    session = await client.quiet()

    answer = await client.read(session, api_pb2.LineRange())

    assert not answer.HasField("status")
    assert len(answer.contents) == 0


async def test_an_unknown_session_has_no_buffer(client: Client) -> None:
    assert (await client.screen("nobody")).status == api_pb2.GetBufferResponse.SESSION_NOT_FOUND


async def test_clearing_the_scrollback_lets_the_numbers_go_back(client: Client) -> None:
    session = await client.quiet(**{"Scrollback Lines": 10})
    await client.inject(session, numbered(0, 100))

    await client.inject(session, "\x1b[3J")

    assert await client.counts(session) == {"overflow": 66, "history": 0, "grid": 25, "first_visible": 66}
    assert (await client.screen(session)).contents[0].text == "line 76"


async def test_clearing_by_hand_keeps_the_line_of_the_cursor(client: Client, iterm2_app: RunningITerm2) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 100) + "\x1b[31mprompt$ ")

    iterm2_app.by_hand("clear_scrollback", session=session)

    screen = await client.screen(session)
    assert [line.text for line in screen.contents if line.text] == ["prompt$ "]
    assert (screen.cursor.x, screen.cursor.y) == (8, 0)


async def test_another_width_wraps_the_history_anew(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "가나다라마" * 9 + "\r\n" + numbered(0, 50))
    before = await client.counts(session)

    size = json.dumps({"width": 41, "height": 25})
    await rpc.async_set_property(client.connection, "grid_size", size, session_id=session)

    answer = await rpc.async_get_screen_contents(
        client.connection,
        session,
        iterm2.util.WindowedCoordRange(iterm2.util.CoordRange(iterm2.util.Point(0, 0), iterm2.util.Point(0, 4))),
    )
    lines = answer.get_buffer_response.contents
    soft, hard = api_pb2.LineContents.CONTINUATION_SOFT_EOL, api_pb2.LineContents.CONTINUATION_HARD_EOL
    assert [line.continuation for line in lines] == [soft, soft, hard, hard]
    assert "".join(line.text for line in lines) == "가나다라마" * 9 + "line 0"
    assert (await client.counts(session))["history"] == before["history"] + 1


async def test_a_higher_screen_takes_lines_back_from_the_history(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "\x1b[31m" + numbered(0, 100) + "end")

    size = json.dumps({"width": 80, "height": 30})
    await rpc.async_set_property(client.connection, "grid_size", size, session_id=session)

    assert await client.counts(session) == {"overflow": 0, "history": 71, "grid": 30, "first_visible": 71}
    screen = await client.screen(session, style=True)
    assert [line.text for line in screen.contents] == [*(f"line {number}" for number in range(71, 100)), "end"]
    assert (screen.cursor.x, screen.cursor.y) == (3, 100)
    assert screen.contents[0].style[0].fgStandard == 1


async def test_the_alternate_screen_takes_the_place_of_the_grid(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 50))
    before = await client.counts(session)

    await client.inject(session, "\x1b[?1049h\x1b[Hfull screen" + numbered(0, 99))
    assert await client.counts(session) == before
    assert await client.variable(session, "showingAlternateScreen") is True

    await client.inject(session, "\x1b[?1049l")
    assert await client.counts(session) == before
    assert (await client.screen(session)).contents[0].text == f"line {before['first_visible']}"


async def test_a_reset_puts_the_screen_into_the_history(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, numbered(0, 10))

    await client.inject(session, "\x1bcnew")

    assert (await client.counts(session))["history"] == 10
    assert (await client.screen(session)).contents[0].text == "new"


async def test_the_second_cell_of_a_wide_character_is_empty(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "a한👨‍👩‍👧e\u0301z")

    line = iterm2.screen.LineContents((await client.screen(session)).contents[0])

    assert [line.string_at(x) for x in range(7)] == ["a", "한", "", "👨‍👩‍👧", "", "e\u0301", "z"]


async def test_the_text_of_a_cell_may_be_decomposed(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "e\u0301")

    line = (await client.screen(session)).contents[0]

    assert (line.code_points_per_cell[0].num_code_points, line.code_points_per_cell[0].repeats) == (len(line.text), 1)


@pytest.mark.parametrize(
    ("sgr", "field", "value"),
    [
        ("31", "fgStandard", 1),
        ("95", "fgStandard", 13),
        ("38;5;200", "fgStandard", 200),
        ("44", "bgStandard", 4),
        ("1", "bold", True),
        ("2", "faint", True),
        ("3", "italic", True),
        ("4", "underline", True),
        ("5", "blink", True),
        ("7", "inverse", True),
        ("8", "invisible", True),
        ("9", "strikethrough", True),
        ("0", "fgAlternate", api_pb2.DEFAULT),
    ],
)
async def test_every_attribute_of_a_cell_is_told(client: Client, sgr: str, field: str, value: object) -> None:
    session = await client.quiet()
    await client.inject(session, f"\x1b[{sgr}m한글\x1b[0m plain")

    style = (await client.screen(session, style=True)).contents[0].style

    assert (getattr(style[0], field), style[0].repeats) == (value, 4 if sgr != "0" else 10)


async def test_true_colours_are_told(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "\x1b[38;2;1;2;3;48:2::4:5:6;4;58:2::7:8:9mx")

    style = (await client.screen(session, style=True)).contents[0].style[0]

    colours = [(colour.red, colour.green, colour.blue) for colour in (style.fgRgb, style.bgRgb, style.underlineColor)]
    assert colours == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]


async def test_what_nobody_wrote_is_left_out_and_styles_only_come_when_asked_for(client: Client) -> None:
    session = await client.quiet()
    await client.inject(session, "$ ")

    line = (await client.screen(session)).contents[0]

    assert (line.text, len(line.style)) == ("$ ", 0)


async def test_the_emulator_answers_the_program(client: Client) -> None:
    session = (
        await client.open("/bin/sh -c 'stty raw -echo; printf \"\\033[6n\"; head -c 6 | od -c; sleep 1000'")
    ).session_id

    await client.shows(session, "033   [   1   ;   1   R")
