"""What an operator does: each function is what one command makes of the state."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from semo_console.state.cards import (
    AnswerCard,
    EndCard,
    FilterCard,
    HelpCard,
    NewCard,
    PaletteCard,
    WhyCard,
)
from semo_console.state.conditions import Condition, Entry
from semo_console.state.console import ConsoleState, Region, Step, only
from semo_console.state.effects import (
    EndSession,
    Leave,
    NewSession,
    Order,
    Refresh,
    SendAnswer,
    SendPrompt,
    StopTurn,
    Unsend,
)
from semo_console.state.panes import Extent
from semo_console.state.receipts import Receipt
from semo_office.models import CommandType

DEFAULT_ROLE = "shell"
DEFAULT_PROFILE = "shell"

_NOBODY = "No session is selected; n starts one."
_ORDERED: dict[type[Order], CommandType] = {
    SendPrompt: CommandType.SEND_PROMPT,
    SendAnswer: CommandType.SEND_TEXT,
    StopTurn: CommandType.CANCEL,
    EndSession: CommandType.TERMINATE,
    NewSession: CommandType.CREATE_SESSION,
}


@dataclass(frozen=True)
class Circumstances:
    """What an action may need besides the state. `extent`: of the pane that scrolling moves."""

    new_id: Callable[[], UUID]
    extent: Extent


Action = Callable[[ConsoleState, Circumstances], Step]


# Moving


def move(by: int) -> Action:
    def act(state: ConsoleState, around: Circumstances) -> Step:
        if state.region is Region.PANES:
            return scroll(lambda _: by)(state, around)
        in_queue = state.region is Region.QUEUE
        return only(state.with_roster(state.roster.move(by, state.now, in_queue=in_queue)))

    return act


def go_to_need(step: int) -> Action:
    def act(state: ConsoleState, _: Circumstances) -> Step:
        if not state.roster.queue:
            return only(state.say("Nobody needs you."))
        return only(state.with_roster(state.roster.go_to_need(step, state.now)))

    return act


def go_back(state: ConsoleState, _: Circumstances) -> Step:
    if state.roster.previous is None:
        return only(state)
    return only(state.with_roster(state.roster.select(state.roster.previous, state.now)))


def begin_going(state: ConsoleState, _: Circumstances) -> Step:
    return only(replace(state, going=True))


def go_to_tag(state: ConsoleState, tag: str) -> Step:
    """The letter after `g`; `g` itself is the top of the list."""
    here = replace(state, going=False)
    if tag == "g":
        return only(here.with_roster(here.roster.move(-len(here.roster.entries), here.now)))
    entry = here.roster.find_tag(tag)
    if entry is None:
        return only(here.say(f"No session has the tag {tag}.") if len(tag) == 1 else here)
    return only(here.with_roster(here.roster.select(entry.session_id, here.now)))


def pick(state: ConsoleState, session_id: UUID) -> Step:
    """A session was clicked."""
    return only(state.with_roster(state.roster.select(session_id, state.now)))


def next_region(step: int) -> Action:
    """Queue, tree, then each pane."""

    def act(state: ConsoleState, _: Circumstances) -> Step:
        places: list[tuple[Region, int | None]] = [(Region.TREE, None)]
        if state.roster.queue:
            places.insert(0, (Region.QUEUE, None))
        places += [(Region.PANES, index) for index in range(len(state.panes.panes))]
        here = (state.region, state.panes.focused)
        at = places.index(here) if here in places else 0
        region, pane = places[(at + step) % len(places)]
        return only(replace(state, region=region, panes=state.panes.focus(pane)))

    return act


def focus_pane(index: int | None) -> Action:
    """None: the list."""

    def act(state: ConsoleState, _: Circumstances) -> Step:
        if index is not None and index >= len(state.panes.panes):
            return only(state.say(f"There is no pane {index + 1}; + shows more."))
        region = Region.TREE if index is None else Region.PANES
        return only(replace(state, region=region, panes=state.panes.focus(index)))

    return act


# Panes


def scroll(rows: Callable[[int], int]) -> Action:
    """`rows`: from the height of the pane to how far, up when negative."""

    def act(state: ConsoleState, around: Circumstances) -> Step:
        pane = state.panes.panes[state.panes.scrolling]
        top = around.extent.scrolled(pane.top, rows(around.extent.height))
        return only(replace(state, panes=state.panes.scroll(top)))

    return act


def follow(state: ConsoleState, _: Circumstances) -> Step:
    return only(replace(state, panes=state.panes.scroll(None)))


def change_layout(step: int) -> Action:
    def act(state: ConsoleState, _: Circumstances) -> Step:
        candidates = [entry.session_id for entry in state.roster.listed() if not entry.ended]
        panes = state.panes.resize(step, candidates)
        region = Region.TREE if state.region is Region.PANES and panes.focused is None else state.region
        return only(replace(state, panes=panes, region=region))

    return act


def pin(state: ConsoleState, _: Circumstances) -> Step:
    if state.roster.selected is None:
        return only(state.say(_NOBODY))
    if len(state.panes.panes) == 1:
        return only(state.say("There is one pane only, and it follows the selection; + shows more."))
    return only(replace(state, panes=state.panes.pin(state.roster.selected)))


def zoom(state: ConsoleState, _: Circumstances) -> Step:
    return only(replace(state, panes=state.panes.zoom()))


# Writing


def write(state: ConsoleState, _: Circumstances) -> Step:
    entry = state.at_hand
    if entry is None:
        return only(state.say(_NOBODY))
    return only(replace(state, composer=state.composer.begin(entry.session_id)))


def paste(state: ConsoleState, text: str) -> Step:
    """Text that was pasted outside of the composer is text, never keys."""
    entry = state.at_hand
    if entry is None:
        return only(state.say(_NOBODY))
    composer = state.composer.begin(entry.session_id)
    return only(replace(state, composer=composer.edit(composer.text + text)))


def edit(state: ConsoleState, text: str) -> Step:
    return only(replace(state, composer=state.composer.edit(text)))


def leave_writing(state: ConsoleState) -> Step:
    """The draft is kept."""
    return only(replace(state, composer=state.composer.leave(state.roster.selected)))


def send(state: ConsoleState, around: Circumstances) -> Step:
    """What is written goes to the target that was latched, if it can take a prompt."""
    composer = state.composer
    if not composer.text.strip() or composer.target is None:
        return only(state.say("Nothing is written yet."))
    entry = state.roster.entries.get(composer.target)
    if entry is None:
        return only(state.say("That session is gone; the draft is kept."))
    if refusal := _cannot_take_a_prompt(entry):
        return only(state.say(f"{entry.tag} {refusal} The draft is kept."))
    order = SendPrompt(around.new_id(), entry.info.office_id, entry.session_id, composer.text)
    emptied = replace(state, composer=composer.edit(""))
    return _order(emptied, order, composer.text)


def _cannot_take_a_prompt(entry: Entry) -> str | None:
    if entry.ended:
        return f"has ended ({entry.info.reason or 'no reason given'})."
    if entry.condition is Condition.ASKS:
        return "asks something: answer it first (esc, a)."
    return None


def unsend(state: ConsoleState, _: Circumstances) -> Step:
    entry = state.at_hand
    receipt = state.receipts.to_unsend(entry.session_id if entry else None)
    if receipt is None:
        return only(state.say("Nothing waits that could be taken back."))
    return state, (Unsend(receipt.command_id),)


# Sessions


def answer(state: ConsoleState, _: Circumstances) -> Step:
    """The selected session if it asks, else the first that does."""
    asking = [entry for entry in state.roster.waiting() if entry.condition is Condition.ASKS]
    here = state.at_hand
    entry = here if here is not None and here.condition is Condition.ASKS else next(iter(asking), None)
    if entry is None:
        return only(state.say("Nobody asks anything."))
    there = state.with_roster(state.roster.select(entry.session_id, state.now))
    return only(there.show(AnswerCard(entry.session_id, entry.info.status_as_of)))


def stop_turn(state: ConsoleState, around: Circumstances) -> Step:
    entry = state.at_hand
    if entry is None or entry.ended:
        return only(state.say(_NOBODY if entry is None else f"{entry.tag} has ended."))
    return _order(state, StopTurn(around.new_id(), entry.info.office_id, entry.session_id), "stop the turn")


def ask_to_end(state: ConsoleState, _: Circumstances) -> Step:
    entry = state.at_hand
    if entry is None or entry.ended:
        return only(state.say(_NOBODY if entry is None else f"{entry.tag} has ended already."))
    busy = entry.condition in (Condition.WORKING, Condition.ASKS)
    return only(state.show(EndCard(entry.session_id, type_tag=busy)))


def ask_for_new(state: ConsoleState, _: Circumstances) -> Step:
    entry = state.at_hand
    office_id = entry.info.office_id if entry else next((office.id for office in state.roster.offices), None)
    if office_id is None:
        return only(state.say("There is no office yet; `semo up` makes one."))
    return only(state.show(NewCard(office_id, entry.info.role if entry else DEFAULT_ROLE)))


def why(state: ConsoleState, _: Circumstances) -> Step:
    entry = state.at_hand
    return only(state.say(_NOBODY) if entry is None else state.show(WhyCard(entry.session_id)))


def find(state: ConsoleState, _: Circumstances) -> Step:
    return only(state.show(FilterCard(state.roster.filter), state.roster.filter))


def show_help(state: ConsoleState, _: Circumstances) -> Step:
    return only(state.show(HelpCard()))


def show_palette(state: ConsoleState, _: Circumstances) -> Step:
    return only(state.show(PaletteCard()))


def refresh(state: ConsoleState, _: Circumstances) -> Step:
    return state.say("Reading everything again."), (Refresh(),)


def leave(state: ConsoleState, _: Circumstances) -> Step:
    return state, (Leave(),)


def step_out(state: ConsoleState, _: Circumstances) -> Step:
    """One level out: of the zoom, then of the filter, then of the panes. It never reaches a program."""
    if state.panes.zoomed:
        return only(replace(state, panes=state.panes.zoom()))
    if state.roster.filter:
        return only(replace(state, roster=replace(state.roster, filter="")))
    return only(replace(state, region=Region.TREE, panes=state.panes.focus(None)))


def nothing_to_copy(state: ConsoleState, _: Circumstances) -> Step:
    return only(state.say("Press q to leave; nothing stops when you do."))


# Cards


def close_card(state: ConsoleState) -> Step:
    """Nothing is sent; a filter is as it was before."""
    if isinstance(state.card, FilterCard):
        restored = replace(state, roster=replace(state.roster, filter=state.card.before))
        return only(restored.close_card())
    return only(state.close_card())


def edit_card(state: ConsoleState, text: str) -> Step:
    changed = replace(state, card_text=text)
    if isinstance(state.card, FilterCard):
        return only(replace(changed, roster=replace(state.roster, filter=text)))
    if isinstance(state.card, PaletteCard):
        return only(replace(changed, card=PaletteCard()))
    return only(changed)


def choose(state: ConsoleState, by: int, of: int) -> Step:
    """Another line of the palette, which has `of` lines now."""
    if not isinstance(state.card, PaletteCard) or not of:
        return only(state)
    return only(replace(state, card=PaletteCard((state.card.chosen + by) % of)))


def submit_card(state: ConsoleState, around: Circumstances) -> Step:
    """Enter on a card."""
    match state.card:
        case AnswerCard() as card:
            return _submit_answer(state, card, around)
        case EndCard() as card:
            return _submit_end(state, card, around)
        case NewCard() as card:
            return _submit_new(state, card, around)
        case _:
            return only(state.close_card())


def _submit_answer(state: ConsoleState, card: AnswerCard, around: Circumstances) -> Step:
    entry = state.roster.entries.get(card.session_id)
    if entry is None or entry.condition is not Condition.ASKS:
        return only(state.close_card().say("It no longer asks; nothing was sent."))
    if entry.info.status_as_of != card.asked_as_of:
        again = AnswerCard(entry.session_id, entry.info.status_as_of)
        return only(replace(state, card=again).say("It asks something else now: look again, then press enter."))
    order = SendAnswer(around.new_id(), entry.info.office_id, entry.session_id, state.card_text)
    return _order(state.close_card(), order, state.card_text)


def _submit_end(state: ConsoleState, card: EndCard, around: Circumstances) -> Step:
    entry = state.roster.entries.get(card.session_id)
    if entry is None or entry.ended:
        return only(state.close_card().say("It has ended already."))
    if card.type_tag and state.card_text.strip() != entry.tag:
        return only(state.say(f"Type {entry.tag} and press enter to end it, or esc."))
    order = EndSession(around.new_id(), entry.info.office_id, entry.session_id)
    return _order(state.close_card(), order, "end the session")


def _submit_new(state: ConsoleState, card: NewCard, around: Circumstances) -> Step:
    words = state.card_text.split() or [card.role]
    if len(words) > 2 or any(len(word) > 40 for word in words):
        return only(state.say("Type a role, or a role and a profile: one or two words of at most 40 letters."))
    role, profile = (*words, DEFAULT_PROFILE)[:2]
    order = NewSession(around.new_id(), card.office_id, around.new_id(), role, profile)
    return _order(state.close_card(), order, f"new {role}")


def _order(state: ConsoleState, order: Order, text: str) -> Step:
    """A command goes out, and its receipt begins."""
    receipt = Receipt(
        command_id=order.command_id,
        session_id=order.session_id,
        office_id=order.office_id,
        command_type=_ORDERED[type(order)],
        text=text,
        sent_at=state.now,
    )
    return replace(state, receipts=state.receipts.add(receipt)), (order,)
