"""The output stream with everything real: hub, agent process, shells, and clients that watch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from semo_office.config import CredentialsFile
from semo_office.errors import CommandError, ErrorCode
from semo_office.events import (
    Applied,
    CommandResultEvent,
    OutputView,
    OutputWatch,
    SessionOutput,
    SessionRealtimeEvents,
    SessionStatusEvent,
)
from semo_office.link import Link, LinkState
from semo_office.locations import StateFolder
from semo_office.models import SendPrompt, SessionStatus, Terminate
from tests.integration.agent.test_agent_process import Desk, furnish, serving_agent
from tests.integration.hub_fixture import RunningHub

DEADLINE_S = 20.0


@pytest.fixture
async def desk(hub: RunningHub, tmp_path: Path) -> AsyncIterator[Desk]:
    state = StateFolder(hub.state_dir).prepare()
    async with serving_agent(state, tmp_path) as agent, await Link.open(CredentialsFile(state, "operator")) as link:
        yield Desk(await furnish(link, agent, tmp_path), link, agent)


@dataclass
class Viewer:
    """What a client shows. `lose`: which messages never reach it."""

    watch: OutputWatch
    views: dict[UUID, OutputView] = field(default_factory=dict)
    heard: list[tuple[SessionOutput, Applied]] = field(default_factory=list)
    lose: Callable[[SessionOutput], bool] = lambda _output: False

    def view(self, session_id: UUID) -> OutputView:
        return self.views.setdefault(session_id, OutputView())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Look on until it holds. Raises TimeoutError."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                output = await anext(self.watch)
                if self.lose(output):
                    continue
                applied = self.view(output.session_id).apply(output)
                self.heard.append((output, applied))
                if applied.gap:
                    self.watch.resync(output.session_id)

    async def until_shown(self, session_id: UUID, text: str) -> None:
        await self.until(lambda: any(row.startswith(text) for row in self.view(session_id).rows()))

    @property
    def gaps(self) -> int:
        return sum(applied.gap for _, applied in self.heard)


@asynccontextmanager
async def viewer_of(link: Link, office_id: UUID, *session_ids: UUID) -> AsyncIterator[Viewer]:
    async with SessionRealtimeEvents(link).watch_output(office_id, session_ids) as watch:
        yield Viewer(watch)


async def live(link: Link) -> None:
    """Wait until what is broadcast arrives. Raises TimeoutError."""
    changed = asyncio.Event()
    no_longer = link.on_status(lambda _status: changed.set())
    async with asyncio.timeout(DEADLINE_S):
        while link.status.state is not LinkState.LIVE:
            changed.clear()
            await changed.wait()
    no_longer()


async def test_two_watchers_see_what_is_printed_and_a_late_one_what_was(desk: Desk) -> None:
    session_id = await desk.shell()
    async with (
        await Link.open(CredentialsFile(desk.agent.state, "operator")) as other,
        viewer_of(desk.link, desk.office.id, session_id) as first,
        viewer_of(other, desk.office.id, session_id) as second,
    ):
        # Both are being told before anything is printed.
        await first.until(lambda: first.view(session_id).synced)
        await second.until(lambda: second.view(session_id).synced)
        await desk.do(session_id, SendPrompt(prompt="seq 1001 1200"))
        await first.until_shown(session_id, "1200")
        await second.until_shown(session_id, "1200")
        async with viewer_of(other, desk.office.id, session_id) as late:
            await late.until_shown(session_id, "1200")
    for viewer in (first, second, late):
        shown = [int(row) for row in viewer.view(session_id).rows() if row.isdecimal()]
        assert shown == list(range(1001, 1201))


async def test_a_lost_message_is_noticed_and_made_good(desk: Desk) -> None:
    session_id = await desk.shell()
    async with viewer_of(desk.link, desk.office.id, session_id) as viewer:
        await viewer.until(lambda: viewer.view(session_id).synced)
        viewer.lose = lambda output: "lost" in "".join(output.rows) and not output.stands_alone
        await desk.do(session_id, SendPrompt(prompt="echo lost"))
        viewer.lose = lambda output: not viewer.gaps and output.stands_alone
        await desk.do(session_id, SendPrompt(prompt="echo after"))
        await viewer.until(lambda: bool(viewer.gaps) and viewer.view(session_id).synced)
        await viewer.until_shown(session_id, "after")
        assert "lost" in viewer.view(session_id).rows()


async def test_what_is_shown_can_be_changed_while_it_runs(desk: Desk) -> None:
    one, two = await desk.shell(), await desk.shell()
    async with viewer_of(desk.link, desk.office.id, one) as viewer:
        await viewer.until(lambda: viewer.view(one).synced)
        viewer.watch.show([two])
        await viewer.until(lambda: viewer.view(two).synced)
        before = len(viewer.heard)
        await desk.do(one, SendPrompt(prompt="echo unseen"))
        await desk.do(two, SendPrompt(prompt="echo seen"))
        await viewer.until_shown(two, "seen")
        assert {output.session_id for output, _ in viewer.heard[before:]} == {two}
        async with asyncio.timeout(DEADLINE_S):
            while one not in viewer.watch.last_lines:
                await desk.do(one, SendPrompt(prompt="echo again"))
                await desk.do(two, SendPrompt(prompt="echo more"))
                await viewer.until(lambda: viewer.view(two).at(viewer.view(two).base) is not None)
                await anext(viewer.watch)


async def test_another_process_of_the_agent_goes_on_from_the_whole_screen(desk: Desk) -> None:
    session_id = await desk.shell()
    async with viewer_of(desk.link, desk.office.id, session_id) as viewer:
        await desk.do(session_id, SendPrompt(prompt="echo before"))
        await viewer.until_shown(session_id, "before")
        assert await desk.agent.stop() == 0
        await desk.agent.start()
        await desk.do(session_id, SendPrompt(prompt="echo after"))
        await viewer.until_shown(session_id, "after")
        assert len({output.instance for output, _ in viewer.heard}) == 2
        assert "before" in viewer.view(session_id).rows()


async def test_more_than_one_message_holds_arrives_whole_in_hangul_and_colour(desk: Desk, tmp_path: Path) -> None:
    session_id = await desk.shell()
    # The width in cells and the colours make one row some kilobytes long.
    (tmp_path / "print.py").write_text(
        "for n in range(450):\n"
        "    cells = ''.join(f'\\x1b[38;2;{n % 256};{at};9m\\x1b[48;2;{at};9;{n % 256}m한' for at in range(50))\n"
        "    print(f'{n:03}{cells}\\x1b[0m')\n"
    )
    assert (await desk.do(session_id, SendPrompt(prompt="python3 print.py"))).success
    async with viewer_of(desk.link, desk.office.id, session_id) as viewer:
        view = viewer.view(session_id)
        await viewer.until(lambda: view.synced and view.end == view.base + view.screen_rows)
        pieces = [output for output, applied in viewer.heard if not applied.gap]
        assert len({output.seq for output in pieces}) > 3
        rows = [row for row in view.rows() if row[:3].isdecimal()]
        assert [int(row[:3]) for row in rows] == list(range(450))
        assert all(row.count("한") == 50 and row.count("\x1b[") >= 50 for row in rows)


async def test_changes_of_state_and_results_are_told_as_they_are_committed(desk: Desk) -> None:
    events = SessionRealtimeEvents(desk.link)
    async with events.watch_events(desk.office.id) as heard:
        await live(desk.link)
        session_id = await desk.shell()
        result = await desk.do(session_id, SendPrompt(prompt="echo told"))
        await desk.do(session_id, Terminate())
        statuses: list[SessionStatus] = []
        results: dict[UUID, CommandResultEvent] = {}
        async with asyncio.timeout(DEADLINE_S):
            while SessionStatus.TERMINATED not in statuses or result.command_id not in results:
                event = await anext(heard)
                if isinstance(event, SessionStatusEvent):
                    statuses.append(event.session.status)
                else:
                    results[event.result.command_id] = event
        told = results[result.command_id].result
        assert (told.id, told.success, told.result) == (result.id, True, None)
        assert statuses[0] is SessionStatus.CREATING
        assert {SessionStatus.READY, SessionStatus.EXECUTING} <= set(statuses)


async def test_what_is_committed_can_be_told_once_more(desk: Desk) -> None:
    session_id = await desk.shell()
    result = await desk.do(session_id, SendPrompt(prompt="true"))
    row = await desk.sessions.get_session(session_id)
    assert row is not None
    events = SessionRealtimeEvents(desk.link)
    async with events.watch_events(desk.office.id) as heard, asyncio.timeout(DEADLINE_S):
        await live(desk.link)
        # A lie: what is told is what the table says.
        await events.broadcast_session_status(
            desk.office.id, row.model_copy(update={"status": SessionStatus.TERMINATED})
        )
        while not isinstance(status := await anext(heard), SessionStatusEvent):
            pass
        assert status.session.status is SessionStatus.READY
        await events.broadcast_command_result(desk.office.id, result)
        while not isinstance(told := await anext(heard), CommandResultEvent) or told.result.id != result.id:
            pass


async def test_who_may_not_read_the_office_can_not_watch_it(desk: Desk) -> None:
    async with viewer_of(desk.link, uuid4(), uuid4()) as viewer:
        with pytest.raises(CommandError) as refused:
            await viewer.until(lambda: False)
        assert refused.value.code is ErrorCode.FORBIDDEN
