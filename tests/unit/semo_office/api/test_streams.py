import asyncio
from collections.abc import AsyncGenerator

import pytest

from semo_office.api.bodies import OutputRows
from semo_office.api.problems import Refused
from semo_office.api.streams import Event, merged, output_after, version_of, wants_stream
from semo_office.output import MANY_LINES


def test_an_event_is_lines_whatever_its_rows_hold() -> None:
    rows = OutputRows(epoch=1, first_line=7, lines=("한글\r", "a\n\nevent: forged"))
    text = Event("output", rows, id="1:9").to_text()
    assert text.startswith('id: 1:9\nevent: output\ndata: {"epoch":1')
    assert text.endswith("}\n\n")
    assert text.count("\n") == 4
    assert "\r" not in text


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.9", True),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_events_are_for_who_names_them(accept: str, wants: bool) -> None:
    assert wants_stream(accept) is wants


def test_output_goes_on_after_the_last_row() -> None:
    wanted = output_after("2:41")
    assert (wanted.epoch, wanted.since_line, wanted.lines) == (2, 41, MANY_LINES)


@pytest.mark.parametrize("last", ["", "1", "1:", ":1", "a:1", "1:-1", "1:²", f"1:{'9' * 19}"])
def test_an_id_that_no_event_of_output_had_is_refused(last: str) -> None:
    with pytest.raises(Refused, match="EPOCH:LINE"):
        output_after(last)


@pytest.mark.parametrize("last", ["", "1:2", "x", "-1", "9" * 19])
def test_an_id_that_no_change_had_is_refused(last: str) -> None:
    with pytest.raises(Refused, match="a number"):
        version_of(last)
    assert version_of("12") == 12


class Source:
    """Brings what the test gives it."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = False

    async def rows(self) -> AsyncGenerator[str]:
        try:
            while (item := await self.items.get()) is not None:
                yield item
        finally:
            self.closed = True


async def test_several_sources_are_told_as_they_come_and_closed_together() -> None:
    first, second = Source(), Source()
    both = merged(first.rows(), second.rows())
    for source, item in ((first, "a"), (second, "b"), (first, "c")):
        source.items.put_nowait(item)
        assert await anext(both) == item
    await both.aclose()
    assert (first.closed, second.closed) == (True, True)


async def test_the_end_of_one_source_ends_all() -> None:
    first, second = Source(), Source()
    both = merged(first.rows(), second.rows())
    second.items.put_nowait(None)
    assert [item async for item in both] == []
    assert (first.closed, second.closed) == (True, True)
