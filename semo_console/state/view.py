"""The state in words: every line of the screen but the output of sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from semo_console.state.conditions import NEEDS_YOU, Condition, Entry
from semo_console.state.console import ConsoleState, Region
from semo_console.state.lines import Line, Look, Span, ago, apart, clean, fit, line, right
from semo_console.state.receipts import Receipt
from semo_office.models import CommandType

SHORT_ID = 8
WITH_REASON = 56
"""Columns from which on a row has room for the reason."""

LOOKS: dict[Condition, Look] = {
    Condition.ASKS: Look.ASKS,
    Condition.FAILED: Look.FAILED,
    Condition.DONE: Look.DONE,
    Condition.UNSURE: Look.UNSURE,
    Condition.WORKING: Look.WORKING,
}
_COUNTED = (
    (Condition.ASKS, "ask"),
    (Condition.WORKING, "work"),
    (Condition.DONE, "done"),
    (Condition.FAILED, "fail"),
    (Condition.UNSURE, "unknown"),
    (Condition.IDLE, "idle"),
)
_CONNECTION_LOOKS = {"live": Look.DONE, "offline": Look.FAILED, "polling": Look.UNSURE}


def clock(moment: datetime, *, seconds: bool = False) -> str:
    return moment.astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def header(state: ConsoleState, width: int) -> Line:
    roster = state.roster
    offices = roster.offices
    first = roster.office_of(roster.at_hand) if roster.at_hand else next(iter(offices), None)
    name = "no office" if first is None else clean(first.name) + (f" +{len(offices) - 1}" if len(offices) > 1 else "")
    spans: list[Span] = [(" SEMO ", Look.MODE), (f" {name}  ", Look.STRONG), (f"{len(roster.entries)}:", Look.PLAIN)]
    for condition, word in _COUNTED:
        if count := roster.count(condition):
            spans.append((f" {count}{word}", LOOKS.get(condition, Look.PLAIN)))
    return apart(spans, [connection(state), (f"  {clock(state.now)} ", Look.PLAIN)], width)


def connection(state: ConsoleState) -> Span:
    known = state.connection
    since = f" since {clock(known.since)}" if known.state == "offline" and known.since else ""
    return f" {known.state.upper()}{since}", _CONNECTION_LOOKS.get(known.state, Look.DIM)


def queue(state: ConsoleState, width: int) -> list[Line]:
    """Who needs a person, the most urgent first."""
    return [_queue_row(state, entry, width) for entry in state.roster.waiting()]


def _queue_row(state: ConsoleState, entry: Entry, width: int) -> Line:
    age = right(ago(state.now - entry.info.status_as_of), 5)
    cursor = ">" if state.region is Region.QUEUE and entry.session_id == state.roster.selected else " "
    look = LOOKS.get(entry.condition, Look.PLAIN)
    what = clean(entry.info.reason or entry.condition.word)
    spans: list[Span] = [
        (f"{cursor}{entry.condition.glyph} {entry.tag} ", look),
        (fit(entry.info.role, 10) + " ", Look.STRONG),
        (what, Look.PLAIN),
    ]
    made = apart(spans, [(age, Look.DIM)], width)
    return Line(made.spans, chosen=entry.session_id == state.roster.selected, key=str(entry.session_id))


def tree(state: ConsoleState, width: int) -> list[Line]:
    """Offices with their sessions."""
    rows: list[Line] = []
    office_id: UUID | None = None
    for entry in state.roster.listed():
        if entry.info.office_id != office_id:
            office_id = entry.info.office_id
            rows.append(_office_row(state, entry, width))
        rows.append(_session_row(state, entry, width))
    if rows:
        return rows
    return [line((fit(" " + nothing_listed(state), width), Look.DIM))]


def nothing_listed(state: ConsoleState) -> str:
    if state.roster.filter:
        return f"nothing matches {clean(state.roster.filter)}"
    return "no sessions; n starts one" if state.loaded else "looking for sessions ..."


def _office_row(state: ConsoleState, entry: Entry, width: int) -> Line:
    office = state.roster.office_of(entry)
    name = clean(office.name) if office else str(entry.info.office_id)[:SHORT_ID]
    path = f"  {clean(office.repo_path)}" if office else ""
    asking = sum(
        each.condition is Condition.ASKS and each.info.office_id == entry.info.office_id
        for each in state.roster.entries.values()
    )
    end: list[Span] = [(f" {asking}? ", Look.ASKS)] if asking else []
    return apart([(name, Look.STRONG), (path, Look.DIM)], end, width)


def _session_row(state: ConsoleState, entry: Entry, width: int) -> Line:
    info = entry.info
    cursor = ">" if state.region is Region.TREE and entry.session_id == state.roster.selected else " "
    look = LOOKS.get(entry.condition, Look.PLAIN)
    tag = Look.KEY if state.going else look
    age = right(ago(state.now - info.status_as_of), 4)
    spans: list[Span] = [
        (f"{cursor}{entry.condition.glyph}", look),
        (f"{entry.tag} ", tag),
        (fit(info.role, 10) + " ", Look.STRONG),
        (f"{fit(str(info.session_id), SHORT_ID)} ", Look.DIM),
        (age + " ", Look.PLAIN),
        (f" {says(entry)}", look if entry.condition in NEEDS_YOU else Look.DIM),
    ]
    made = apart(spans, [], width)
    return Line(made.spans, chosen=entry.session_id == state.roster.selected, key=str(entry.session_id))


def says(entry: Entry) -> str:
    """The condition, and what it rests on in the words of the agent."""
    reason = clean(entry.info.reason or "")
    return f"{entry.condition.word}: {reason}" if reason else entry.condition.word


def pane_title(state: ConsoleState, index: int) -> str:
    session_id = state.panes.panes[index].session_id
    entry = state.roster.entries.get(session_id) if session_id else None
    if entry is None:
        return f" {index + 1} nothing here "
    age = ago(state.now - entry.info.status_as_of)
    return clean(f" {index + 1} {entry.tag} {entry.info.role}  {entry.condition.glyph} {says(entry)} {age} ")


def composer_title(state: ConsoleState) -> str:
    target = state.composer.target
    entry = state.roster.entries.get(target) if target else None
    if entry is None:
        return " To nobody " if target is None else " To a session that is gone "
    when = "after this turn" if entry.condition is Condition.WORKING else "now"
    if entry.ended or entry.condition is Condition.ASKS:
        when = says(entry)
    return f" To [{entry.tag} {clean(entry.info.role)}]  {when} "


def composer_hint(state: ConsoleState) -> str:
    if state.composer.writing:
        return " enter send . ctrl+j newline . esc back "
    return " draft kept . i write " if state.composer.text else " i write "


def bottom_line(state: ConsoleState, width: int) -> Line:
    """A sentence to the operator when there is one, else the receipts."""
    if state.notice is not None:
        return line((fit(f" {state.notice.text}", width), Look.ASKS))
    shown = state.receipts.latest_first()
    here = state.roster.selected
    ordered = [r for r in shown if r.session_id == here] + [r for r in shown if r.session_id != here]
    texts = [receipt_in_words(state, receipt) for receipt in ordered[:4]]
    end: list[Span] = []
    if state.receipts.to_unsend(here):
        end = [(" U unsend ", Look.KEY)]
    return apart([(f" {'   '.join(texts)}", Look.PLAIN)], end, width)


def receipt_in_words(state: ConsoleState, receipt: Receipt) -> str:
    entry = state.roster.entries.get(receipt.session_id)
    tag = entry.tag if entry else str(receipt.session_id)[:4]
    kind = "" if receipt.command_type is CommandType.SEND_PROMPT else f" {_KINDS[receipt.command_type]}"
    return clean(f"{tag} #{receipt.number}{kind} {_progress(state, receipt, entry)}")


_KINDS = {
    CommandType.SEND_TEXT: "answer",
    CommandType.CANCEL: "stop",
    CommandType.TERMINATE: "end",
    CommandType.CREATE_SESSION: "new",
    CommandType.GET_OUTPUT: "read",
}


def _progress(state: ConsoleState, receipt: Receipt, entry: Entry | None) -> str:
    if not receipt.steps:
        return receipt.ending() or "sending"
    path = ">".join(step.word for step in receipt.way)
    at = clock(receipt.steps[-1].at, seconds=True)
    if (ending := receipt.ending()) is not None:
        return f"{path}>{ending} {at}"
    if receipt.can_be_unsent and entry is not None and entry.condition is Condition.WORKING:
        return f"{path} {at} (waits for turn)"
    if receipt.steps[-1].stage == "accepted" and entry is not None:
        return f"{path} {at}>{entry.condition.word} {ago(_since(state, receipt))}"
    return f"{path} {at}"


def _since(state: ConsoleState, receipt: Receipt) -> timedelta:
    return state.now - receipt.steps[-1].at
