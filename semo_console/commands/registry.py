"""Every command of the console, once."""

from dataclasses import dataclass

from semo_console.state import actions, boarding
from semo_console.state.actions import Action
from semo_console.state.board import Tab
from semo_console.state.console import Mode


@dataclass(frozen=True)
class Command:
    """`label` is for footer and palette, `help` for the list of keys. `footer`: its place there, None: not shown.

    Without an action it is done by the part of the screen that has the keys.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    action: Action | None = None
    mode: Mode = Mode.NAV
    footer: int | None = None


def _half(direction: int) -> Action:
    return actions.scroll(lambda height: direction * max(height // 2, 1))


def _page(direction: int) -> Action:
    return actions.scroll(lambda height: direction * max(height - 1, 1))


def _board_page(tab: Tab) -> Command:
    name = tab.value.lower()
    return Command(f"board.{name}", (), name, f"the board's page of {name}", boarding.open_page(tab))


COMMANDS: tuple[Command, ...] = (
    Command(
        "need.answer",
        ("a",),
        "answer",
        "answer the selected session, else the first that asks",
        actions.answer,
        footer=1,
    ),
    Command(
        "need.next", ("w",), "next", "next session that needs you, in all offices", actions.go_to_need(1), footer=2
    ),
    Command("need.prev", ("W",), "previous", "previous session that needs you", actions.go_to_need(-1)),
    Command(
        "jump.session", ("g",), "go", "go to a session: g and its tag; g g is the top", actions.begin_going, footer=3
    ),
    Command("jump.last", ("-",), "last session", "back to the session before", actions.go_back),
    Command("move.down", ("j", "down"), "down", "one row down", actions.move(1)),
    Command("move.up", ("k", "up"), "up", "one row up", actions.move(-1)),
    Command("move.top", ("<", "home"), "top", "first row", actions.move(-1_000_000)),
    Command("move.bottom", (">", "end"), "bottom", "last row", actions.move(1_000_000)),
    Command("region.next", ("tab",), "next region", "needs you, sessions, panes", actions.next_region(1)),
    Command("region.prev", ("shift+tab",), "previous region", "the other way round", actions.next_region(-1)),
    Command("jump.list", ("0",), "list", "to the list of sessions", actions.focus_pane(None)),
    *(
        Command(f"jump.pane.{n}", (str(n),), f"pane {n}", f"to pane {n}", actions.focus_pane(n - 1))
        for n in (1, 2, 3, 4)
    ),
    Command("write", ("i",), "write", "write a prompt for the session at hand", actions.write, footer=4),
    Command("undo", ("U",), "unsend", "take back the newest prompt that has not begun", actions.unsend, footer=9),
    Command("stop.turn", ("x",), "stop", "stop the turn of the session at hand", actions.stop_turn, footer=5),
    Command("end.session", ("X",), "end", "end the session at hand, after a question", actions.ask_to_end),
    Command("session.new", ("n",), "new", "start a session", actions.ask_for_new, footer=6),
    Command("why", ("d",), "why", "what the state rests on, and receipts with times", actions.why, footer=8),
    Command("zoom", ("z",), "zoom", "the pane alone, and back", actions.zoom, footer=7),
    Command("layout.more", ("+",), "more panes", "1, 2, 4 panes", actions.change_layout(1)),
    Command("layout.fewer", ("_",), "fewer panes", "4, 2, 1 panes", actions.change_layout(-1)),
    Command("pane.pin", ("p",), "pin", "keep the selected session in another pane", actions.pin),
    Command("pane.half.down", ("ctrl+d",), "half down", "half a page down", _half(1)),
    Command("pane.half.up", ("ctrl+u",), "half up", "half a page up", _half(-1)),
    Command("pane.page.down", ("pagedown",), "page down", "a page down", _page(1)),
    Command("pane.page.up", ("pageup",), "page up", "a page up", _page(-1)),
    Command("pane.line.down", ("J",), "line down", "a line down", actions.scroll(lambda _: 1)),
    Command("pane.line.up", ("K",), "line up", "a line up", actions.scroll(lambda _: -1)),
    Command("pane.live", ("G",), "live", "to the end of the output, and follow it", actions.follow),
    Command("board.next", ("}",), "board", "pool, breakers, jobs; next page of the board", boarding.turn(1)),
    Command("board.prev", ("{",), "board back", "the board, from its last page", boarding.turn(-1)),
    *(_board_page(tab) for tab in Tab),
    Command("filter", ("/",), "find", "filter the sessions; !word leaves out", actions.find, footer=10),
    Command("palette", (":", "ctrl+p"), "commands", "all commands by name", actions.show_palette, footer=11),
    Command("refresh", ("ctrl+r",), "refresh", "read everything again", actions.refresh),
    Command("help", ("?",), "help", "this list", actions.show_help, footer=12),
    Command("leave", ("q",), "leave", "close the console; nothing stops", actions.leave, footer=13),
    Command("leave.how", ("ctrl+c",), "how to leave", "says how to leave", actions.nothing_to_copy),
    Command("step.out", ("escape",), "back", "out of zoom, filter, panes", actions.step_out),
    Command("write.send", ("enter",), "send", "send what is written", mode=Mode.WRITE, footer=1),
    Command("write.newline", ("ctrl+j", "shift+enter"), "newline", "a new line", mode=Mode.WRITE, footer=2),
    Command("write.leave", ("escape",), "back", "leave; the draft is kept", mode=Mode.WRITE, footer=3),
    Command("card.submit", ("enter",), "do it", "do what the card says", mode=Mode.CARD, footer=1),
    Command("card.close", ("escape",), "close", "close the card; nothing is sent", mode=Mode.CARD, footer=2),
    Command("card.down", ("down", "ctrl+d", "pagedown"), "down", "choose or scroll down", mode=Mode.CARD),
    Command("card.up", ("up", "ctrl+u", "pageup"), "up", "choose or scroll up", mode=Mode.CARD),
    Command("page.down", ("j", "down"), "down", "next row", boarding.choose(1), mode=Mode.BOARD, footer=1),
    Command("page.up", ("k", "up"), "up", "row before", boarding.choose(-1), mode=Mode.BOARD, footer=2),
    Command("job.go", ("enter",), "go", "to the session of the job", boarding.go_to_session, mode=Mode.BOARD, footer=3),
    Command("job.retry", ("R",), "retry", "try the job again", boarding.retry, mode=Mode.BOARD, footer=4),
    Command("job.cancel", ("X",), "cancel", "cancel the job", boarding.cancel, mode=Mode.BOARD, footer=5),
    Command("job.done", ("y",), "done", "call done what needs review", boarding.judge(done=True), mode=Mode.BOARD),
    Command("job.failed", ("N",), "failed", "call it failed", boarding.judge(done=False), mode=Mode.BOARD),
    Command("breaker.reset", ("u",), "reset", "start its program again", boarding.reset, mode=Mode.BOARD, footer=6),
    Command("page.next", ("}", "tab"), "next", "next page", boarding.turn(1), mode=Mode.BOARD, footer=7),
    Command("page.prev", ("{", "shift+tab"), "before", "page before", boarding.turn(-1), mode=Mode.BOARD),
    Command("page.close", ("escape", "q"), "close", "close the board", boarding.close, mode=Mode.BOARD, footer=8),
)
BY_ID = {command.id: command for command in COMMANDS}
