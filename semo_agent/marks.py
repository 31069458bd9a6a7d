"""What the parameters of a shell-integration mark (OSC 133) say."""

from semo_agent.terminals.base import MarkSeen


def parameter(mark: MarkSeen, name: str) -> str | None:
    """The value of `name=value` among the parameters; None: it is not there."""
    pairs = (word.partition("=") for word in mark.parameters.split(";"))
    return next((value for key, separator, value in pairs if separator and key == name), None)


def is_foreign(mark: MarkSeen, mark_id: str | None) -> bool:
    """Somebody else's mark: it does not carry our id. Where we gave none, every mark counts."""
    return mark_id is not None and parameter(mark, "aid") != mark_id


def is_continuation(mark: MarkSeen) -> bool:
    """It belongs to a prompt for the rest of a command."""
    return parameter(mark, "k") == "s"


def is_right_prompt(mark: MarkSeen) -> bool:
    """What follows is a prompt at the right edge, not typed text."""
    return mark.kind == "P" and parameter(mark, "k") == "r"


def exit_status(mark: MarkSeen) -> int | None:
    """Of a D: the status it names; None: it names none."""
    first = mark.parameters.split(";", 1)[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) <= 3 else None
