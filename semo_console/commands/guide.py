"""What names keys on the screen: the footer, and the cards."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from semo_console.commands.keymap import Keymap
from semo_console.commands.registry import COMMANDS, Command
from semo_console.state.board import Tab
from semo_console.state.board_lines import page
from semo_console.state.cards import (
    AnswerCard,
    BoardCard,
    Card,
    EndCard,
    FilterCard,
    HelpCard,
    NewCard,
    PaletteCard,
    WhyCard,
)
from semo_console.state.console import ConsoleState, Mode
from semo_console.state.lines import Line, Look, Span, ago, clean, fit, line
from semo_console.state.output import Output, last_rows
from semo_console.state.receipts import Receipt
from semo_console.state.view import clock, receipt_in_words, says

FindOutput = Callable[[UUID], Output | None]

_SHOWN_KEYS = {"escape": "esc", "pagedown": "pgdn", "pageup": "pgup"}


@dataclass(frozen=True)
class CardText:
    """A card as it is shown. `asks`: what the field is for, None: nothing is typed. `chosen`: row of the cursor."""

    title: str
    lines: tuple[Line, ...]
    hint: str
    asks: str | None = None
    chosen: int | None = None


def shown_key(key: str) -> str:
    return _SHOWN_KEYS.get(key, key)


def footer(state: ConsoleState, keymap: Keymap, width: int) -> Line:
    """The mode, and its commands as far as they fit."""
    mode = state.mode
    commands = sorted(
        (command for command in COMMANDS if command.mode is mode and command.footer is not None),
        key=lambda command: command.footer or 0,
    )
    spans: list[Span] = [(f" {mode.value} ", Look.MODE)]
    room = width - len(spans[0][0])
    for command in commands:
        if not (keys := keymap.keys_of(command)):
            continue
        key, label = f" {shown_key(keys[0])}", f" {command.label} "
        if len(key) + len(label) <= room:
            spans += [(key, Look.KEY), (label, Look.PLAIN)]
            room -= len(key) + len(label)
    return line(*spans, (" " * room, Look.PLAIN))


def palette(text: str) -> list[Command]:
    """The commands that every typed word is in; those without an action belong to a mode."""
    words = text.lower().split()
    return [
        command
        for command in COMMANDS
        if command.action is not None
        and all(word in f"{command.id} {command.label} {command.help}".lower() for word in words)
    ]


def describe_card(state: ConsoleState, keymap: Keymap, find_output: FindOutput, width: int) -> CardText:
    """width: columns of its rows."""
    match state.card:
        case AnswerCard(session_id):
            return _answer(state, session_id, find_output(session_id))
        case EndCard(session_id, type_tag):
            return _end(state, session_id, type_tag)
        case NewCard(_, role):
            asked = "role, or role and profile"
            return CardText(" NEW SESSION ", (line(f" {asked}; empty: {clean(role)}"),), _DO, asks=asked)
        case WhyCard(session_id):
            return CardText(" WHY ", tuple(_why(state, session_id)), _CLOSE)
        case PaletteCard(chosen):
            return _palette(state, keymap, chosen)
        case FilterCard():
            lines = (line(" Words that the row has; !word: that it has not."),)
            return CardText(" FIND ", lines, " enter keep . esc as before ", asks="filter")
        case BoardCard() as card:
            return _board(state, keymap, card, width)
        case HelpCard() | None:
            return CardText(" KEYS ", tuple(_help(keymap)), _CLOSE)


_CLOSE = " esc close "
_DO = " enter do it . esc close "


def _answer(state: ConsoleState, session_id: UUID, output: Output | None) -> CardText:
    entry = state.roster.entries.get(session_id)
    if entry is None:
        return CardText(" ANSWER ", (line(" The session is gone."),), _CLOSE)
    asked = ago(state.now - entry.info.status_as_of)
    title = f" ANSWER {entry.tag} {clean(entry.info.role)}  {says(entry)}  {asked} ago ({entry.info.status_source}) "
    rows = last_rows(output) or ("(its output is not here yet)",)
    return CardText(
        title, tuple(line(f" {clean(row)}") for row in rows), " enter send . esc close, nothing is sent ", "answer"
    )


def _end(state: ConsoleState, session_id: UUID, type_tag: bool) -> CardText:
    entry = state.roster.entries.get(session_id)
    if entry is None:
        return CardText(" END ", (line(" The session is gone."),), _CLOSE)
    lines = [
        line(f" {entry.tag} {clean(entry.info.role)}: {says(entry)}"),
        line(f" in {clean(entry.info.cwd)}"),
        line(""),
        line(" Its program is ended and its terminal closed. Files stay as they are."),
    ]
    if type_tag:
        lines.append(line((f" It is busy: type {entry.tag} to end it all the same.", Look.ASKS)))
    return CardText(f" END {entry.tag}? ", tuple(lines), _DO, asks=f"type {entry.tag}" if type_tag else None)


def _why(state: ConsoleState, session_id: UUID) -> list[Line]:
    entry = state.roster.entries.get(session_id)
    if entry is None:
        return [line(" The session is gone.")]
    info, office = entry.info, state.roster.office_of(entry)
    age = ago(state.now - info.status_as_of)
    facts = [
        ("state", f"{entry.condition.glyph} {says(entry)}"),
        ("since", f"{clock(info.status_as_of, seconds=True)} ({age}), told by {info.status_source}, {info.confidence}"),
        ("session", f"{info.session_id}"),
        ("role", f"{info.role}, profile {info.profile}, tag {entry.tag}"),
        ("office", office.name if office else str(info.office_id)),
        ("in", info.cwd),
        ("host", str(info.host_id)),
    ]
    if info.ended_at is not None:
        how = info.exit_status if info.exit_signal is None else f"signal {info.exit_signal}"
        facts.append(("ended", f"{clock(info.ended_at, seconds=True)}, exit {how}"))
    rows = [line((f" {name:<8} ", Look.DIM), clean(value)) for name, value in facts]
    for receipt in state.receipts.latest_first(session_id)[:8]:
        rows += _receipt_rows(state, receipt)
    return rows


def _receipt_rows(state: ConsoleState, receipt: Receipt) -> list[Line]:
    first = clean(receipt.text.strip().partition("\n")[0])
    rows = [line(""), line((f" {receipt_in_words(state, receipt)}", Look.STRONG)), line(f"   {first}")]
    return rows + [line((f"   {clock(step.at, seconds=True)}  {step.word}", Look.DIM)) for step in receipt.steps]


def _palette(state: ConsoleState, keymap: Keymap, chosen: int) -> CardText:
    found = palette(state.card_text)
    lines = tuple(
        line(
            (f" {fit(' '.join(shown_key(key) for key in keymap.keys_of(command)), 14)}", Look.KEY),
            fit(command.id, 18),
            command.help,
            chosen=index == chosen,
        )
        for index, command in enumerate(found)
    )
    return CardText(" COMMANDS ", lines or (line(" none"),), _DO, asks="command", chosen=chosen)


def _board(state: ConsoleState, keymap: Keymap, card: BoardCard, width: int) -> CardText:
    title = "  ".join(f"[{each.value}]" if each is card.tab else each.value.lower() for each in Tab)
    row = state.board.row_of(card.tab, card.chosen)
    on_page = [command for command in COMMANDS if command.id.startswith(_ON_PAGE[card.tab])]
    hints = [f"{shown_key(keys[0])} {command.label}" for command in on_page if (keys := keymap.keys_of(command))]
    hint = " . ".join([*hints, "} next", "esc close"])
    return CardText(f" {title} ", tuple(page(state, card.tab, row, width)), f" {hint} ", chosen=row)


_ON_PAGE = {Tab.POOL: "pool.", Tab.BREAKERS: "breaker.", Tab.JOBS: "job."}


def _help(keymap: Keymap) -> list[Line]:
    rows: list[Line] = []
    for mode in Mode:
        rows.append(line((f" {mode.value}", Look.STRONG)))
        for command in COMMANDS:
            if command.mode is mode:
                keys = " ".join(shown_key(key) for key in keymap.keys_of(command)) or "(none)"
                rows.append(line((f"   {fit(keys, 18)} ", Look.KEY), command.help))
    rows.append(line(("   remap in keys.toml of the configuration folder, by id (: lists ids)", Look.DIM)))
    return rows


def is_typed_in(card: Card | None) -> bool:
    """Whether letters go into the card's field."""
    return isinstance(card, AnswerCard | NewCard | PaletteCard | FilterCard) or (
        isinstance(card, EndCard) and card.type_tag
    )
