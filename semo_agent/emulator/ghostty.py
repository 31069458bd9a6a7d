"""The calls of libghostty-vt that the emulator makes, with Python values.

The one module that knows pyghostty: another emulation library would be put behind the same methods.
"""

import weakref
from collections.abc import Callable
from typing import Any

from pyghostty import GhosttyError as GhosttyError
from pyghostty import ffi, lib
from pyghostty._ffi import union_fn

from semo_agent.terminals.base import Size

_SCROLLBACK_LINES = 64 * 1024
_SCROLLBACK_BYTES = 256 * 1024 * 1024
_CONTINUATION_BYTES = 64 * 1024
_GRAPHEME_CLUSTERS = 2027
_CELL_PIXELS = (8, 16)
_FOREGROUND, _BACKGROUND = (229, 229, 229), (16, 16, 16)


def _check(result: int, what: str) -> None:
    if result:
        raise GhosttyError(f"{what} failed: {result}")


def _mode(number: int, value: bool) -> Any:
    """A DEC private mode and its value."""
    config = ffi.new("GhosttyTerminalModeConfig*")
    config.mode, config.value = number, value
    return config


def new_terminal(size: Size) -> Any:
    handle = ffi.new("GhosttyTerminal*")
    _check(lib.ghostty_terminal_new(ffi.NULL, handle, size.cols, size.rows), "terminal_new")
    clusters = _mode(_GRAPHEME_CLUSTERS, True)
    _check(lib.ghostty_terminal_set(handle[0], lib.GHOSTTY_TERMINAL_OPT_MODE, clusters), "set mode")
    return handle[0]


def decode_terminal(state: bytes) -> Any:
    decoder = ffi.new("GhosttySnapshotDecoder*")
    _check(lib.ghostty_snapshot_decoder_new_buf(ffi.NULL, decoder, state, len(state)), "decoder_new")
    try:
        keep = lib.GHOSTTY_SNAPSHOT_DECODER_OPT_RETAIN_CONTINUATION
        _check(lib.ghostty_snapshot_decoder_set(decoder[0], keep, ffi.new("bool*", True)), "decoder_set")
        handle = ffi.new("GhosttyTerminal*")
        _check(lib.ghostty_snapshot_decoder_decode(decoder[0], handle), "decode")
        return handle[0]
    finally:
        lib.ghostty_snapshot_decoder_free(decoder[0])


class GhosttyTerminal:
    """The calls of libghostty-vt that the emulator makes, with Python values."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._replies: list[bytes] = []
        self._title_changed = False
        self._scratch = (
            _sized("GhosttyPointS"),
            _sized("GhosttyGridRef"),
            _sized("GhosttyRow"),
            _sized("bool"),
        )
        self._callbacks = self._make_callbacks()
        self._configure()
        self.close = weakref.finalize(self, lib.ghostty_terminal_free, handle)

    def write(self, data: bytes) -> None:
        lib.ghostty_terminal_vt_write(self._handle, data, len(data))

    def resize(self, size: Size) -> None:
        _check(lib.ghostty_terminal_resize(self._handle, size.cols, size.rows, *_CELL_PIXELS), "resize")

    def history(self) -> int:
        return int(self._get("SCROLLBACK_ROWS", "size_t*"))

    def alternate(self) -> bool:
        return bool(self._get("ACTIVE_SCREEN", "GhosttyTerminalScreen*") == lib.GHOSTTY_TERMINAL_SCREEN_ALTERNATE)

    def ground(self) -> bool:
        return bool(self._get("VT_GROUND", "bool*"))

    def cursor(self) -> tuple[int, int]:
        """Column and row."""
        return int(self._get("CURSOR_X", "uint16_t*")), int(self._get("CURSOR_Y", "uint16_t*"))

    def wrap_pending(self) -> bool:
        return bool(self._get("CURSOR_PENDING_WRAP", "bool*"))

    def mode(self, number: int) -> bool:
        """Whether a DEC private mode is set."""
        config = _mode(number, False)
        _check(lib.ghostty_terminal_get(self._handle, lib.GHOSTTY_TERMINAL_DATA_MODE, config), "get mode")
        return bool(config.value)

    def title(self) -> str:
        text = self._get("TITLE", "GhosttyString*")
        return ffi.buffer(text.ptr, text.len)[:].decode("utf-8", "replace") if text.len else ""

    def take_title(self) -> str | None:
        """The title, if it was set since the last call."""
        changed, self._title_changed = self._title_changed, False
        return self.title() if changed else None

    def take_replies(self) -> bytes:
        """What the terminal answered the program since the last call."""
        replies = b"".join(self._replies)
        self._replies.clear()
        return replies

    def track(self, column: int, row: int) -> Any:
        """A reference that follows a cell of the active screen, until `take_tracked`."""
        point, ref = _sized("GhosttyPointS"), ffi.new("GhosttyTrackedGridRef*")
        point.tag, point.value.x, point.value.y = _AREAS["active"], column, row
        _check(_TRACK(self._handle, point[0], ref), "grid_ref_track")
        return ref[0]

    def take_tracked(self, ref: Any) -> tuple[int, int] | None:
        """Column and row of a followed cell, counted from the oldest row; None when it is gone."""
        try:
            found = ffi.new("GhosttyPointCoordinate*")
            if lib.ghostty_tracked_grid_ref_point(ref, lib.GHOSTTY_POINT_TAG_SCREEN, found):
                return None
            return int(found.x), int(found.y)
        finally:
            lib.ghostty_tracked_grid_ref_free(ref)

    def rows(self, area: str, first: int, count: int) -> list[tuple[str, bool]]:
        """Rows of the "active" screen or "history": text with SGR, reset at its end, and if it goes on."""
        flags = self._wrap_flags(area, first, count)
        texts = self._format(area, first, count).decode("utf-8", "replace").split("\r\n")
        # The formatter leaves out empty rows at the end.
        texts.extend([""] * (count - len(texts)))
        return list(zip((text.removeprefix("\x1b[0m") for text in texts), flags, strict=True))

    def continuation(self) -> bytes:
        """The bytes of the sequence in progress. Raises `GhosttyError` when it is too long to be kept."""
        return _take_buffer(
            lambda buffer, length: lib.ghostty_terminal_continuation_alloc(self._handle, ffi.NULL, buffer, length),
            "continuation",
        )

    def snapshot(self) -> bytes:
        return _take_buffer(
            lambda buffer, length: lib.ghostty_snapshot_encode_alloc(self._handle, ffi.NULL, buffer, length),
            "snapshot",
        )

    def _get(self, name: str, ctype: str) -> Any:
        out = ffi.new(ctype)
        _check(lib.ghostty_terminal_get(self._handle, getattr(lib, f"GHOSTTY_TERMINAL_DATA_{name}"), out), name)
        return out[0]

    def _set(self, name: str, value: Any) -> None:
        _check(lib.ghostty_terminal_set(self._handle, getattr(lib, f"GHOSTTY_TERMINAL_OPT_{name}"), value), name)

    def _configure(self) -> None:
        self._set("SCROLLBACK_MAX_LINES", ffi.new("size_t*", _SCROLLBACK_LINES))
        self._set("SCROLLBACK_MAX_BYTES", ffi.new("size_t*", _SCROLLBACK_BYTES))
        self._set("CONTINUATION_MAX_BYTES", ffi.new("size_t*", _CONTINUATION_BYTES))
        # Current terminals count a joined emoji as one character of two cells; a program may say otherwise.
        self._set("MODE_DEFAULT", _mode(_GRAPHEME_CLUSTERS, True))
        # A row that is a line of the log must not come back to the screen.
        self._set("RESIZE_PULL_SCROLLBACK", ffi.new("bool*", False))
        self._set("KITTY_IMAGE_STORAGE_LIMIT", ffi.new("uint64_t*", 0))
        for name, rgb in (("FOREGROUND", _FOREGROUND), ("BACKGROUND", _BACKGROUND)):
            self._set(f"COLOR_{name}", ffi.new("GhosttyColorRgb*", dict(zip("rgb", rgb, strict=True))))
        for name, callback in self._callbacks.items():
            self._set(name, callback)

    def _make_callbacks(self) -> dict[str, Any]:
        # The callbacks must not hold the terminal, or it would never be freed.
        me = weakref.ref(self)

        def reply(_terminal: Any, _data: Any, text: Any, length: int) -> None:
            if (native := me()) is not None:
                native._replies.append(ffi.buffer(text, length)[:])

        def title_changed(_terminal: Any, _data: Any) -> None:
            if (native := me()) is not None:
                native._title_changed = True

        def report_size(_terminal: Any, _data: Any, out: Any) -> bool:
            if (native := me()) is None:
                return False
            out.columns, out.rows = native._get("COLS", "uint16_t*"), native._get("ROWS", "uint16_t*")
            out.cell_width, out.cell_height = _CELL_PIXELS
            return True

        return {
            "WRITE_PTY": ffi.callback("GhosttyTerminalWritePtyFn", reply),
            "TITLE_CHANGED": ffi.callback("GhosttyTerminalTitleChangedFn", title_changed),
            "SIZE": ffi.callback("GhosttyTerminalSizeFn", report_size),
        }

    def _ref(self, area: str, column: int, row: int) -> Any:
        point = ffi.new("GhosttyPointS*")
        point.tag = _AREAS[area]
        point.value.x, point.value.y = column, row
        ref = ffi.new("GhosttyGridRef*")
        ref.size = ffi.sizeof("GhosttyGridRef")
        _check(_GRID_REF(self._handle, point[0], ref), f"grid_ref {area} {column},{row}")
        return ref

    def _wrap_flags(self, area: str, first: int, count: int) -> list[bool]:
        # Called for every row of output: nothing is allocated in the loop.
        point, ref, row, wrapped = self._scratch
        point.tag, point.value.x = _AREAS[area], 0
        value, get_row, get_flag, key = point.value, lib.ghostty_grid_ref_row, lib.ghostty_row_get, _ROW_WRAP
        flags = []
        for value.y in range(first, first + count):
            failed = _GRID_REF(self._handle, point[0], ref) or get_row(ref, row) or get_flag(row[0], key, wrapped)
            _check(failed, f"wrap flag of {area} row {value.y}")
            flags.append(wrapped[0])
        return flags

    def _format(self, area: str, first: int, count: int) -> bytes:
        columns = self._get("COLS", "uint16_t*")
        selection = ffi.new("GhosttySelection*")
        selection.size = ffi.sizeof("GhosttySelection")
        selection.start = self._ref(area, 0, first)[0]
        selection.end = self._ref(area, columns - 1, first + count - 1)[0]
        options = ffi.new("GhosttyFormatterTerminalOptions*")
        options.size = ffi.sizeof("GhosttyFormatterTerminalOptions")
        options.extra.size = ffi.sizeof("GhosttyFormatterTerminalExtra")
        options.extra.screen.size = ffi.sizeof("GhosttyFormatterScreenExtra")
        options.emit = lib.GHOSTTY_FORMATTER_FORMAT_VT
        options.selection = selection
        formatter = ffi.new("GhosttyFormatter*")
        _check(lib.ghostty_formatter_terminal_new(ffi.NULL, formatter, self._handle, options[0]), "formatter_new")
        try:
            return _take_buffer(
                lambda buffer, length: lib.ghostty_formatter_format_alloc(formatter[0], ffi.NULL, buffer, length),
                "format",
            )
        finally:
            lib.ghostty_formatter_free(formatter[0])


def _sized(ctype: str) -> Any:
    """A new C value; its own size is filled in where it has such a field."""
    value = ffi.new(f"{ctype}*")
    if ffi.typeof(value).item.kind == "struct" and "size" in dict(ffi.typeof(value).item.fields):
        value.size = ffi.sizeof(ctype)
    return value


_ROW_WRAP = lib.GHOSTTY_ROW_DATA_WRAP
_AREAS = {"active": lib.GHOSTTY_POINT_TAG_ACTIVE, "history": lib.GHOSTTY_POINT_TAG_HISTORY}
_TRACK = union_fn(
    "ghostty_terminal_grid_ref_track",
    "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyTrackedGridRef*)",
)
_GRID_REF = union_fn("ghostty_terminal_grid_ref", "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyGridRef*)")


def _take_buffer(allocate: Callable[[Any, Any], int], what: str) -> bytes:
    """The bytes that a C function allocated for us; frees them."""
    buffer, length = ffi.new("uint8_t**"), ffi.new("size_t*")
    _check(allocate(buffer, length), what)
    try:
        return bytes(ffi.buffer(buffer[0], length[0]))
    finally:
        lib.ghostty_free(ffi.NULL, buffer[0], length[0])


def graphemes(text: str) -> list[tuple[int, int]]:
    """Length in code points and width in cells of each character as the terminal sees it."""
    codepoints = ffi.new("uint32_t[]", [ord(character) for character in text])
    width = ffi.new("uint8_t*")
    found = []
    at = 0
    while at < len(text):
        length = lib.ghostty_unicode_grapheme_width(codepoints + at, len(text) - at, width)
        found.append((length, width[0]))
        at += length
    return found
