"""The PTY terminal: programs live in the holder."""

from collections.abc import Sequence

from semo_agent.holder.client import HolderClient
from semo_agent.holder.protocol import Header
from semo_agent.terminals.base import ExitStatus, LaunchSpec, Size
from semo_agent.terminals.held import HeldTerminal
from semo_agent.terminals.tab_stream import TabStream

_LAUNCH_SECONDS = 15.0


class PtyTerminal(HeldTerminal):
    """Tabs of the holder in `folder`."""

    name = "pty"
    kind = "pty"
    answers = True

    async def see_usable(self) -> None:
        """The holder is all there is."""

    async def _launch(self, client: HolderClient, spec: LaunchSpec, size: Size) -> Header:
        return await client.request(
            "open",
            timeout=_LAUNCH_SECONDS,
            tag=spec.tag,
            argv=list(spec.argv),
            cwd=spec.cwd,
            env=dict(spec.env),
            cols=size.cols,
            rows=size.rows,
        )

    async def _hand_over(self, tab_id: str, data: bytes, deadline: float) -> None:
        await self._living().write(tab_id, data, timeout=deadline)

    async def _resize(self, client: HolderClient, tab_id: str, size: Size) -> None:
        """The holder does it when it is told the size."""

    async def _connect_backend(self) -> None:
        """The holder is all there is."""

    async def _disconnect_backend(self) -> None:
        """The holder is all there is."""

    async def _let_go(self, tab_ids: Sequence[str]) -> None:
        """The system hung up the programs when the holder died."""

    async def _tell_end(self, stream: TabStream, told: ExitStatus | None) -> None:
        stream.end(told or ExitStatus())
