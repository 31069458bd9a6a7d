"""`semo output`: what a session has printed."""

from contextlib import aclosing
from pathlib import Path

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.receipt import print_output
from semo_console.cli.actions.targets import choose_session
from semo_console.cli.actions.wording import print_json, remark, say
from semo_console.cli.exits import ExitCode
from semo_office.locations import StateFolder
from semo_office.models import AgentCommandResult, GetOutput, SessionInfo
from semo_office.output import News, follow_output, read_output


def show_output(state_dir: Path | None, office: str | None, chosen: str, *, lines: int, as_json: bool) -> ExitCode:
    """Print the last lines. Raises UnclearTarget, OfficeError."""
    result = at_desk(StateFolder.find(state_dir), lambda desk: _read_once(desk, office, chosen, lines))
    if as_json:
        print_json(result.result)
    else:
        print_output(result)
    return ExitCode.OK


def print_as_it_comes(
    state_dir: Path | None, office: str | None, chosen: str, *, lines: int, as_json: bool
) -> ExitCode:
    """Print the last lines, then what comes, until the session ends. Raises UnclearTarget, OfficeError."""
    at_desk(StateFolder.find(state_dir), lambda desk: _follow(desk, office, chosen, lines, as_json))
    return ExitCode.OK


async def _read_once(desk: OperatorDesk, named: str | None, chosen: str, lines: int) -> AgentCommandResult:
    return await read_output(desk.link, await _find(desk, named, chosen), GetOutput(lines=lines))


async def _follow(desk: OperatorDesk, named: str | None, chosen: str, lines: int, as_json: bool) -> None:
    session = await _find(desk, named, chosen)
    async with aclosing(follow_output(desk.link, session, GetOutput(lines=lines))) as output:
        async for news in output:
            _tell(news, as_json)


async def _find(desk: OperatorDesk, named: str | None, chosen: str) -> SessionInfo:
    office = await desk.find_office(named)
    return choose_session(await desk.sessions.get_sessions_by_office(office.id, with_ended=True), chosen=chosen)


def _tell(news: News, as_json: bool) -> None:
    if news.missed:
        remark(f"({news.missed} lines are no longer kept)")
    if as_json and news.lines:
        lines: list[JsonValue] = list(news.lines)
        print_json({"epoch": news.epoch, "first_line": news.first_line, "lines": lines})
    elif not as_json:
        for line in news.lines:
            say(line)
