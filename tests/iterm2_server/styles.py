"""How a cell looks: SGR sequences in, cell styles of the API out."""

from dataclasses import dataclass, fields, replace
from typing import Any

from iterm2 import api_pb2

Colour = int | tuple[int, int, int] | None
"""Index of the palette, red-green-blue, or the default."""


@dataclass(frozen=True, slots=True)
class Style:
    """Attributes of a cell."""

    foreground: Colour = None
    background: Colour = None
    underline_colour: Colour = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    blink: bool = False
    underline: bool = False
    inverse: bool = False
    invisible: bool = False
    strikethrough: bool = False

    def after(self, parameters: str) -> "Style":
        """The style after one SGR sequence, given without its introducer and its end."""
        style = self
        left = parameters.split(";")
        while left:
            style = style._after_one(left.pop(0), left)
        return style

    def sgr(self) -> str:
        """The sequence that begins this style, whatever was before."""
        numbers = ["0", *(number for number, name in _NUMBERS.items() if getattr(self, name))]
        for first, colour in (("38", self.foreground), ("48", self.background), ("58", self.underline_colour)):
            if colour is not None:
                numbers.append(
                    f"{first};5;{colour}"
                    if isinstance(colour, int)
                    else f"{first};2;{colour[0]};{colour[1]};{colour[2]}"
                )
        return f"\x1b[{';'.join(numbers)}m"

    def message(self, repeats: int) -> api_pb2.CellStyle:
        """The style as the API tells it, for so many cells."""
        message = api_pb2.CellStyle(repeats=repeats)
        _set_colour(message, "fg", self.foreground)
        _set_colour(message, "bg", self.background)
        for name in _FLAGS:
            if getattr(self, name):
                setattr(message, name, True)
        if isinstance(self.underline_colour, tuple):
            message.underlineColor.CopyFrom(_rgb(self.underline_colour))
        return message

    def _after_one(self, parameter: str, left: list[str]) -> "Style":
        number, *sub = parameter.split(":")
        if number in ("", "0"):
            return Style()
        if number in _COLOUR_OF:
            changes: dict[str, Any] = {_COLOUR_OF[number]: _colour(sub or left)}
        elif number == "4":
            changes = {"underline": sub[:1] != ["0"]}
        else:
            changes = _changes(int(number))
        return replace(self, **changes)


DEFAULT = Style()
_FLAGS = [field.name for field in fields(Style) if field.type is bool]
_COLOUR_OF = {"38": "foreground", "48": "background", "58": "underline_colour"}
_ON = {1: "bold", 2: "faint", 3: "italic", 5: "blink", 7: "inverse", 8: "invisible", 9: "strikethrough"}
_NUMBERS = {**{str(number): name for number, name in _ON.items()}, "4": "underline"}
_PALETTES = ((30, "foreground", 0), (90, "foreground", 8), (40, "background", 0), (100, "background", 8))
_OFF = {23: "italic", 24: "underline", 25: "blink", 27: "inverse", 28: "invisible", 29: "strikethrough"}


def _changes(number: int) -> dict[str, Any]:
    """What a plain SGR number changes."""
    if number in _ON:
        return {_ON[number]: True}
    if number == 22:
        return {"bold": False, "faint": False}
    if number in _OFF:
        return {_OFF[number]: False}
    for first, name, index in _PALETTES:
        if first <= number < first + 8:
            return {name: number - first + index}
    defaults = {39: "foreground", 49: "background", 59: "underline_colour"}
    return {defaults[number]: None} if number in defaults else {}


def _colour(parameters: list[str]) -> Colour:
    """The colour that follows 38, 48 or 58; takes away the parameters that name it."""
    kind = parameters.pop(0)
    if kind == "5":
        return int(parameters.pop(0))
    red, green, blue = (int(parameters.pop(0)) for _ in range(3))
    return red, green, blue


def _set_colour(message: api_pb2.CellStyle, ground: str, colour: Colour) -> None:
    if colour is None:
        setattr(message, f"{ground}Alternate", api_pb2.DEFAULT)
    elif isinstance(colour, int):
        setattr(message, f"{ground}Standard", colour)
    else:
        getattr(message, f"{ground}Rgb").CopyFrom(_rgb(colour))


def _rgb(colour: tuple[int, int, int]) -> api_pb2.RGBColor:
    red, green, blue = colour
    return api_pb2.RGBColor(red=red, green=green, blue=blue)
