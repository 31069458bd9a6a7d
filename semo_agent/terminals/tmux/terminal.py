"""The tmux terminal: programs live in our tmux server, a window each; the holder keeps what they print."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from semo_agent.errors import LaunchFailed, TabNotFound, TerminalDied, TerminalError
from semo_agent.holder.client import HolderClient
from semo_agent.holder.protocol import Header
from semo_agent.terminals.base import ExitStatus, LaunchSpec, Size
from semo_agent.terminals.held import WRITE_SECONDS, HeldTerminal
from semo_agent.terminals.tab_stream import TabStream
from semo_agent.terminals.tmux.control import SESSION
from semo_agent.terminals.tmux.launching import Launching
from semo_agent.terminals.tmux.pane import FORMAT, Pane, read_pane, type_into
from semo_agent.terminals.tmux.server import TmuxServer, usable_tmux

TMUX_DIED = ExitStatus(reason="tmux died")
WINDOW_CLOSED = ExitStatus(reason="its window was closed")
CUT_OFF = ExitStatus(reason="its output was cut off")

_LAST_BYTES_SECONDS = 5.0
"""For what a tmux that died had still handed over."""
_LOOK_AGAIN_SECONDS = 0.1
_LOOKS = 10


class TmuxTerminal(HeldTerminal):
    """Tabs of the tmux server in `folder`. tmux itself answers what programs ask their terminal."""

    name = "tmux"
    kind = "feed"
    answers = False

    def __init__(
        self,
        folder: Path,
        *,
        write_timeout: float = WRITE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(folder, write_timeout=write_timeout, clock=clock)
        self._server = TmuxServer(folder)
        self._panes: dict[str, Pane] = {}

    async def see_usable(self) -> None:
        await asyncio.to_thread(usable_tmux)

    async def _launch(self, client: HolderClient, spec: LaunchSpec, size: Size) -> Header:
        if not spec.argv:
            raise LaunchFailed("There is no program to start: argv must be a list of texts.")
        launching = Launching(self._server.folder, secrets.token_hex(6), spec, size)
        await asyncio.to_thread(launching.prepare)
        try:
            return await self._start_in_window(client, launching)
        except BaseException:
            await asyncio.shield(self._undo(client, launching))
            raise
        finally:
            await asyncio.to_thread(launching.tidy)

    async def _start_in_window(self, client: HolderClient, launching: Launching) -> Header:
        tab_id, size = launching.tab_id, launching.size
        tag, path = launching.spec.tag, str(launching.feed)
        await client.request("feed", tab=tab_id, tag=tag, path=path, cols=size.cols, rows=size.rows)
        reading = launching.open_report()
        *_, told = await self._server.run(*launching.commands())
        pane = read_pane(told[0])
        if pane is None:
            raise TerminalError("tmux has lost a new window.")
        self._panes[tab_id] = pane
        described = await client.request("bind", tab=tab_id, pid=pane.pid, tty=pane.tty)
        await launching.see_started(reading)
        return described

    async def _undo(self, client: HolderClient, launching: Launching) -> None:
        self._panes.pop(launching.tab_id, None)
        with contextlib.suppress(TerminalError):
            await self._server.run(f"kill-window -t ={SESSION}:={launching.tab_id}")
        with contextlib.suppress(TerminalError):
            await client.request("drop", tab=launching.tab_id)
        launching.feed.unlink(missing_ok=True)

    async def _hand_over(self, tab_id: str, data: bytes, deadline: float) -> None:
        pane = self._panes.get(tab_id)
        if pane is None or self._streams[tab_id].exited.is_set():
            raise TerminalError("The program has ended.")
        await type_into(pane, data, self._server.run, deadline)

    async def _resize(self, client: HolderClient, tab_id: str, size: Size) -> None:
        if (pane := self._panes.get(tab_id)) is not None:
            await self._server.run(f"resize-window -t {pane.window} -x {size.cols} -y {size.rows}")

    async def _connect_backend(self) -> None:
        if await self._server.connect():
            self._spawn("ends of programs in tmux", self._watch_ends())

    async def _disconnect_backend(self) -> None:
        await self._server.close()

    async def _adopt_all(self, tabs: Sequence[Header]) -> None:
        panes = {pane.tab_id: pane for pane in await self._list_panes()}
        for tab in tabs:
            pane = panes.pop(tab["tab"], None)
            if pane is not None:
                self._panes[pane.tab_id] = pane
                tab |= await self._living().request("bind", tab=pane.tab_id, pid=pane.pid, tty=pane.tty)
        # Their output was kept by a holder that died; it can't be had again.
        await self._kill(list(panes.values()))
        await super()._adopt_all([tab for tab in tabs if await self._was_begun(tab)])

    async def _was_begun(self, tab: Header) -> bool:
        """Whether there ever was a program for a feed: an agent may die before it starts one."""
        if tab["pid"] == 0:
            await self._living().request("drop", tab=tab["tab"])
        return bool(tab["pid"])

    async def _watch_ends(self) -> None:
        """See programs end, until the server dies."""
        while not self._stopping:
            with contextlib.suppress(TerminalDied):
                async with contextlib.aclosing(self._server.ends()) as ends:
                    async for _ in ends:
                        await self._look_for_ends()
            if self._stopping or not await self._server.lives():
                break
        if not self._stopping:
            await self._bury_all()

    async def _look_for_ends(self) -> None:
        panes = await self._list_panes()
        ended = [pane for pane in panes if pane.exit is not None]
        if any(pane.unexplained for pane in panes):
            self._server.remind_of_children()
        for pane in ended:
            # First the holder knows how it ended; then the end of its pipe says that its output is complete.
            with contextlib.suppress(TabNotFound):
                await self._living().request("ended", tab=pane.tab_id, exit=asdict(pane.exit or ExitStatus()))
        await self._kill(ended)

    async def _tell_end(self, stream: TabStream, told: ExitStatus | None) -> None:
        tab_id = stream.info.tab_id
        status = told or await self._why(tab_id)
        if told is None:
            with contextlib.suppress(TerminalError):
                await stream.client.request("ended", tab=tab_id, exit=asdict(status))
        self._panes.pop(tab_id, None)
        if status == TMUX_DIED:
            self._bury(stream, status)
        else:
            stream.end(status)

    async def _why(self, tab_id: str) -> ExitStatus:
        """Why the output of a tab ended though nobody saw its program end."""
        known = self._panes.get(tab_id)
        try:
            pane = await self._find_explained(tab_id)
        except TerminalDied:
            return TMUX_DIED
        if pane is not None:
            await self._kill([pane])
            return pane.exit or CUT_OFF
        return WINDOW_CLOSED if known is not None and known.server == self._server.pid else TMUX_DIED

    async def _find_explained(self, tab_id: str) -> Pane | None:
        """A tab's pane, once tmux says how its program ended; None when there is none any more."""
        for _ in range(_LOOKS):
            pane = {pane.tab_id: pane for pane in await self._list_panes()}.get(tab_id)
            if pane is None or not pane.unexplained:
                break
            self._server.remind_of_children()
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return pane

    async def _bury_all(self) -> None:
        """Bury all tabs of a server that died, after their last bytes."""
        lost = [self._streams[tab_id] for tab_id in self._panes if tab_id in self._streams]
        waiting = [asyncio.ensure_future(stream.exited.wait()) for stream in lost]
        if waiting:
            await asyncio.wait(waiting, timeout=_LAST_BYTES_SECONDS)
        for wait in waiting:
            wait.cancel()
        for stream in lost:
            self._bury(stream, TMUX_DIED)

    async def close(self, tab_id: str, *, grace: float = 3.0) -> ExitStatus:
        looking = asyncio.create_task(self._look_often(), name=f"tab {tab_id} is closed")
        try:
            return await super().close(tab_id, grace=grace)
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look_often(self) -> None:
        """Not wait for tmux to tell that a program ended: somebody waits for it."""
        with contextlib.suppress(TerminalError):
            while True:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                await self._look_for_ends()

    async def _forget_dead(self, tab_id: str) -> ExitStatus:
        client = self._streams[tab_id].client
        status = await super()._forget_dead(tab_id)
        with contextlib.suppress(TerminalError):
            await client.request("drop", tab=tab_id)
        return status

    async def _let_go(self, tab_ids: Sequence[str]) -> None:
        panes = [self._panes.pop(tab_id) for tab_id in tab_ids if tab_id in self._panes]
        with contextlib.suppress(TerminalError):
            await self._kill(panes)

    async def _kill(self, panes: Sequence[Pane]) -> None:
        for pane in panes:
            # A pane that is gone meanwhile is what is wanted.
            try:
                await self._server.run(f"kill-pane -t {pane.pane}")
            except TerminalDied:
                raise
            except TerminalError:
                continue

    async def _list_panes(self) -> list[Pane]:
        (lines,) = await self._server.run(f"list-panes -s -t ={SESSION} -F {FORMAT}")
        return [pane for pane in map(read_pane, lines) if pane is not None]
