"""Answers to requests for the lines of a session."""

from iterm2 import api_pb2

from tests.iterm2_server.buffer import MOST_LINES, Buffer
from tests.iterm2_server.rows import Row


def read_buffer(buffer: Buffer, request: api_pb2.GetBufferRequest) -> api_pb2.GetBufferResponse:
    """The lines that are asked for, as far as they are there; an empty answer where the question makes no sense.

    The range in the answer is the one that was asked for: where its head was lost meanwhile, there are fewer lines than
    it says, and they belong to its end.
    """
    asked = _range(buffer, request.line_range)
    if asked is None:
        return api_pb2.GetBufferResponse()
    span = asked.coord_range
    end = min(span.end.y + (span.end.x > 0), span.start.y + MOST_LINES)
    rows = buffer.lines(span.start.y, end)
    response = api_pb2.GetBufferResponse(status=api_pb2.GetBufferResponse.OK, windowed_coord_range=asked)
    response.contents.extend(_contents(rows, asked, end, with_styles=request.include_styles))
    response.cursor.x, response.cursor.y = buffer.cursor.x, buffer.cursor.y
    response.range.location, response.range.length = span.start.y, end - span.start.y
    response.num_lines_above_screen = buffer.base
    return response


def _range(buffer: Buffer, wanted: api_pb2.LineRange) -> api_pb2.WindowedCoordRange | None:
    ways = [
        name for name in ("screen_contents_only", "trailing_lines", "windowed_coord_range") if wanted.HasField(name)
    ]
    if len(ways) != 1:
        return None
    end = buffer.base + buffer.size.rows
    if wanted.screen_contents_only:
        return _whole_lines(buffer.base, end)
    if wanted.HasField("trailing_lines"):
        return _whole_lines(max(end - min(wanted.trailing_lines, MOST_LINES), buffer.overflow), end)
    asked = wanted.windowed_coord_range
    start, stop = asked.coord_range.start, asked.coord_range.end
    return asked if 0 <= start.y <= stop.y and min(start.x, stop.x) >= 0 else None


def _whole_lines(first: int, end: int) -> api_pb2.WindowedCoordRange:
    span = api_pb2.CoordRange(start=api_pb2.Coord(x=0, y=first), end=api_pb2.Coord(x=0, y=end))
    return api_pb2.WindowedCoordRange(coord_range=span)


def _contents(
    rows: list[Row], asked: api_pb2.WindowedCoordRange, end: int, *, with_styles: bool
) -> list[api_pb2.LineContents]:
    start, stop = asked.coord_range.start, asked.coord_range.end
    left = asked.columns.location
    right = left + asked.columns.length if asked.columns.length else None
    contents = []
    for number, row in enumerate(rows, end - len(rows)):
        first = max(left, start.x if number == start.y else 0)
        last = right if number != stop.y or not stop.x else min(stop.x, right or stop.x)
        contents.append(row.message(with_styles=with_styles, first=first, last=last))
    return contents
