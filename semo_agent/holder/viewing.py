"""Programs that a viewer starts: what it is to start, the PTY that it hands over, and how the program ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from semo_agent.holder.connection import Attachment, Connection
from semo_agent.holder.keeper import TabKeeper
from semo_agent.holder.protocol import Header, RequestError, size_in
from semo_agent.holder.viewed import ViewedTab


class Reply(Protocol):
    def __call__(self, header: Header) -> None: ...


@dataclass(slots=True)
class Expected:
    """A program that a viewer is to start, and how the client that wants it is answered."""

    kind: str
    tag: str
    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    client: int
    reply: Reply
    viewer: int | None = None


class Viewing:
    """The requests of viewers, and of clients that wait for one. What nobody waits for any more is not started."""

    def __init__(self, keeper: TabKeeper) -> None:
        self._keeper = keeper
        self._expected: dict[str, Expected] = {}

    def verbs(self) -> dict[Any, Callable[..., None]]:
        return {
            "expect": self._expect,
            "withdraw": self._withdraw,
            "words": self._words,
            "hand": self._hand,
            "explain": self._explain,
            "leave": self._leave,
        }

    def lose(self, connection: Connection) -> None:
        """Forget what a client wanted that is gone, fail what a viewer was starting, end what it showed."""
        for tab_id, wanted in list(self._expected.items()):
            if wanted.viewer == connection.number:
                wanted.reply({"error": "Its tab was closed while it started.", "kind": "launch"})
            if connection.number in (wanted.client, wanted.viewer):
                del self._expected[tab_id]
        for attachment in connection.attachments.values():
            if isinstance(attachment.tab, ViewedTab) and attachment.views:
                self._keeper.lose_viewer(attachment.tab)

    def _expect(self, connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        """Wait for the viewer of a tab; the reply comes when it has started the program, or could not."""
        if header["tab"] in self._expected:
            raise RequestError("bad_request", "A tab of this name is expected already.")
        words = (header["argv"], header["cwd"], header["env"])
        self._expected[header["tab"]] = Expected(header["kind"], header["tag"], *words, connection.number, reply)

    def _withdraw(self, _connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        self._expected.pop(header["tab"], None)
        reply({})

    def _words(self, connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        wanted = self._get(header["tab"])
        wanted.viewer = connection.number
        reply({"argv": wanted.argv, "cwd": wanted.cwd, "env": wanted.env})

    def _hand(self, connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        wanted = self._get(header["tab"])
        if "failure" in header:
            wanted.reply({"error": header["failure"], "kind": "launch"})
        else:
            wanted.reply(self._take_over(connection, header, wanted).describe())
        del self._expected[header["tab"]]
        reply({})

    def _take_over(self, connection: Connection, header: Header, wanted: Expected) -> ViewedTab:
        size, pid, where = size_in(header), header["pid"], header["where"]
        about = (header["tab"], wanted.kind, wanted.tag)
        tab = ViewedTab(*about, pid=pid, master=connection.take_handed(), size=size, where=where)
        connection.attachments[tab.tab_id] = Attachment(tab, 0, views=True)
        self._keeper.take_over(tab)
        return tab

    def _explain(self, _connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        self._keeper.explain(self._keeper.get_viewed(header["tab"]), header["exit"])
        reply({})

    def _leave(self, _connection: Connection, header: Header, _body: bytes, reply: Reply) -> None:
        self._keeper.leave(self._keeper.get_viewed(header["tab"]), header["reason"])
        reply({})

    def _get(self, tab_id: str) -> Expected:
        if tab_id not in self._expected:
            raise RequestError("tab_not_found", "nobody waits for it")
        return self._expected[tab_id]
