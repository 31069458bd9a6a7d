"""`--wait [SECONDS]`: an option whose value may be left out, without ever taking the text for it."""

import math
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from typer.core import TyperCommand

WAIT = "--wait"
FOR_EVER = math.inf

_SECONDS = re.compile(r"\d+(\.\d+)?")


def bind_wait(arguments: Sequence[str], valued: AbstractSet[str]) -> list[str]:
    """The same arguments with every `--wait` as `--wait=SECONDS`, `inf` where no number is meant.

    A number after `--wait` is its value only when another argument is the text. `valued`: the options that take the
    next argument as their value.
    """
    words, options = _sort_arguments(arguments, valued)
    bound: list[str] = []
    taken = -1
    for index, argument in enumerate(arguments):
        if index == taken:
            continue
        if argument != WAIT or index not in options:
            bound.append(argument)
        elif len(words) > 1 and index + 1 in words and _SECONDS.fullmatch(arguments[index + 1]):
            taken = index + 1
            bound.append(f"{WAIT}={arguments[taken]}")
        else:
            bound.append(f"{WAIT}={FOR_EVER}")
    return bound


def _sort_arguments(arguments: Sequence[str], valued: AbstractSet[str]) -> tuple[list[int], list[int]]:
    """Where the words (text) and where the options stand; the value of an option is neither."""
    words: list[int] = []
    options: list[int] = []
    is_value = False
    for index, argument in enumerate(arguments):
        if is_value:
            is_value = False
        elif argument == "--":
            return [*words, *range(index + 1, len(arguments))], options
        elif argument.startswith("-") and argument != "-":
            options.append(index)
            is_value = argument in valued
        else:
            words.append(index)
    return words, options


class WaitingCommand(TyperCommand):
    """A verb with `--wait [SECONDS]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, bind_wait(args, self._valued_options()))

    def _valued_options(self) -> set[str]:
        options = (parameter for parameter in self.params if parameter.param_type_name == "option")
        return {name for option in options if not getattr(option, "is_flag", False) for name in option.opts} - {WAIT}
