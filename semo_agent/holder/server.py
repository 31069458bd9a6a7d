"""The holder's loop: one thread, one selector; nothing in it waits for a program or a client."""

import functools
import os
import selectors
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semo_agent.holder.connection import Attachment, Connection
from semo_agent.holder.feed import HeldFeed
from semo_agent.holder.keeper import TabKeeper
from semo_agent.holder.protocol import VERSION, Header, ProtocolError, RequestError, size_in
from semo_agent.holder.tab import HeldTab, PendingWrite
from semo_agent.holder.timers import Timers
from semo_agent.holder.viewed import ViewedTab
from semo_agent.holder.viewing import Viewing

IDLE_SECONDS = 60.0
"""The holder ends when it held no tab and had no client for so long."""
_GOODBYE_SECONDS = 2.0
_LOOK_SECONDS = 0.02

_SENTENCES = {
    "ended": "The program has ended.",
    "full": "The program does not read its input and too much is waiting for it.",
    "abandoned": "The program did not read all of it in time.",
}


class Holder:
    """Keeps tabs and serves clients until `run` returns."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._idle_seconds = idle_seconds
        self._selector = selectors.DefaultSelector()
        self._timers = Timers(clock)
        self._keeper = TabKeeper(self._selector, self._timers, attended=self._attended, changed=self._changed)
        self._viewing = Viewing(self._keeper)
        self._connections: dict[int, Connection] = {}
        self._next_connection = 0
        self._stopping = False
        self._idle_armed = False

    def run(self) -> None:
        """Serve until nothing is held and nobody is connected, or until told to shut down."""
        self._keeper.watch_children()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._watch_idleness()
        while not self._stopping:
            for key, events in self._selector.select(self._timers.until_next()):
                self._guard(key.data, events)
            for action in self._timers.take_due():
                self._guard(action)

    def _guard(self, action: Callable[..., None], *arguments: int) -> None:
        try:
            action(*arguments)
        except Exception:  # noqa: BLE001 - one client's mistake must not end the programs of all others
            sys.stderr.write(traceback.format_exc())
            sys.stderr.flush()

    # Clients

    def _accept(self, _events: int) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        self._next_connection += 1
        connection = Connection(self._next_connection, sock)
        self._connections[connection.number] = connection
        self._selector.register(sock, selectors.EVENT_READ, functools.partial(self._serve, connection))

    def _serve(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_READ:
            frames = connection.receive()
            if frames is None:
                self._disconnect(connection)
                return
            try:
                for header, body in frames:
                    self._answer(connection, header, body)
            except ProtocolError:
                self._disconnect(connection)
                raise
        self._pump(connection)

    def _answer(self, connection: Connection, header: Header, body: bytes) -> None:
        reply = functools.partial(self._reply, connection, header.get("id", 0))
        try:
            self._verb(connection, header)(connection, header, body, reply)
        except RequestError as err:
            reply({"error": str(err), "kind": err.kind})
        except (KeyError, TypeError, ValueError) as err:
            reply({"error": f"The request is not complete: {err!r}.", "kind": "bad_request"})
        except OSError as err:
            reply({"error": f"The system refused it: {err.strerror}.", "kind": "bad_request"})

    def _verb(self, connection: Connection, header: Header) -> Callable[..., None]:
        verb = header.get("verb")
        if verb != "hello" and not connection.greeted:
            raise RequestError("bad_request", "The first request must be hello.")
        verbs: dict[Any, Callable[..., None]] = {
            "hello": self._hello,
            "open": self._open,
            "feed": self._feed,
            "bind": self._bind,
            "ended": self._note_end,
            "drop": self._drop,
            "list": self._list,
            "write": self._write,
            "abandon": self._abandon,
            "resize": self._resize,
            "signal": self._signal,
            "end": self._end,
            "forget": self._forget,
            "attach": self._attach,
            "ack": self._ack,
            "shutdown": self._shutdown,
            **self._viewing.verbs(),
        }
        if verb not in verbs:
            raise RequestError("bad_request", f"The holder does not know the request {verb!r}.")
        return verbs[verb]

    def _reply(self, connection: Connection, request: int, header: Header) -> None:
        if connection.number in self._connections:
            connection.send({"id": request, **header})
            self._pump(connection)

    def _pump(self, connection: Connection) -> None:
        if connection.number not in self._connections:
            return
        if not connection.pump():
            self._disconnect(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_to_write() else 0)
        self._selector.modify(connection.sock, events, functools.partial(self._serve, connection))

    def _changed(self) -> None:
        """Tell the clients what there is to tell."""
        for connection in list(self._connections.values()):
            self._pump(connection)
        self._watch_idleness()

    def _attended(self, tab: HeldTab) -> bool:
        attachments = (connection.attachments.get(tab.tab_id) for connection in self._connections.values())
        return any(attachment is not None and not attachment.views for attachment in attachments)

    def _disconnect(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is None:
            return
        self._selector.unregister(connection.sock)
        connection.close()
        self._viewing.lose(connection)
        # Tabs that waited for this client are read again.
        for attachment in connection.attachments.values():
            self._keeper.watch(attachment.tab)
        self._watch_idleness()

    # Verbs

    def _hello(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        if header["version"] != VERSION:
            raise RequestError(
                "version",
                f"The running holder speaks version {VERSION}, this program {header['version']}; "
                "end its sessions, then it makes way for a new one.",
            )
        connection.greeted = True
        reply({"version": VERSION, "pid": os.getpid()})

    def _open(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        argv = header["argv"]
        if not argv or not all(isinstance(word, str) for word in argv):
            raise RequestError("launch", "There is no program to start: argv must be a list of texts.")
        size = size_in(header)

        def opened(result: HeldTab | str) -> None:
            if isinstance(result, str):
                reply({"error": result, "kind": "launch"})
            else:
                reply(result.describe())

        self._keeper.open(header["tag"], argv, header["cwd"], header["env"], size, opened)

    def _feed(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        feed = HeldFeed(header["tab"], header["tag"], Path(header["path"]), size_in(header))
        self._keeper.feed(feed)
        reply(feed.describe())

    def _bind(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        feed = self._keeper.get_feed(header["tab"])
        feed.bind(header["pid"], header["tty"])
        reply(feed.describe())

    def _note_end(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        self._keeper.get_feed(header["tab"]).exit = header["exit"]
        reply({})

    def _drop(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        feed = self._keeper.get_feed(header["tab"])
        self._keeper.drop(feed)
        self._detach(feed)
        reply({})

    def _detach(self, tab: HeldTab) -> None:
        """Take the tab from the client that has it; its viewer shows it to the end."""
        for connection in self._connections.values():
            attachment = connection.attachments.get(tab.tab_id)
            if attachment is not None and not attachment.views:
                del connection.attachments[tab.tab_id]

    def _list(self, _connection: Connection, _header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        reply({"tabs": [tab.describe() for tab in self._keeper.tabs.values()]})

    def _write(self, connection: Connection, header: Header, body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        answers = header.get("answers")
        if answers is not None:
            tab.answered = max(tab.answered, answers)
        key = (connection.number, header["id"])
        tab.queue(PendingWrite(key, body, functools.partial(_report_write, reply)))
        self._keeper.watch(tab)

    def _abandon(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        self._keeper.get(header["tab"]).abandon((connection.number, header["write"]))
        reply({})

    def _resize(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        tab.resize(*size_in(header))
        reply({"end": tab.output.end})
        self._changed()

    def _signal(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        group = None if tab.finished else tab.foreground_group()
        if group is None:
            raise RequestError("ended", _SENTENCES["ended"])
        os.killpg(group, header["signal"])
        reply({})

    def _end(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        tab.fail_writes("ended")
        self._keeper.end(tab, header["grace"], lambda: reply({"exit": tab.exit, "end": tab.output.end}))

    def _forget(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        self._keeper.forget(tab)
        self._detach(tab)
        reply({})

    def _attach(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        # The last one to attach has the tab: a new agent takes over from one that hangs.
        self._detach(tab)
        connection.attachments[tab.tab_id] = Attachment(tab, header["offset"])
        self._keeper.watch(tab)
        reply(tab.describe())

    def _ack(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._keeper.get(header["tab"])
        attachment = connection.attachments.get(tab.tab_id)
        if isinstance(tab, ViewedTab) and attachment is not None and attachment.views:
            tab.acknowledge_shown(header["offset"])
        else:
            tab.acknowledge(header["offset"])
        self._keeper.watch(tab)
        reply({})

    def _shutdown(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        left = set(self._keeper.tabs)

        def ended(tab_id: str) -> None:
            left.discard(tab_id)
            if not left:
                self._see_viewers_gone(reply, _GOODBYE_SECONDS)

        for tab in list(self._keeper.tabs.values()):
            self._keeper.end(tab, header["grace"], functools.partial(ended, tab.tab_id))
        if not left:
            ended("")

    def _see_viewers_gone(self, reply: Callable[..., None], seconds: float) -> None:
        """End when what showed the tabs has shown their end."""
        viewers = (attachment.views for each in self._connections.values() for attachment in each.attachments.values())
        if any(viewers) and seconds > 0:
            later = functools.partial(self._see_viewers_gone, reply, seconds - _LOOK_SECONDS)
            self._timers.after(_LOOK_SECONDS, later)
        else:
            reply({})
            self._stopping = True

    # Idleness

    def _watch_idleness(self) -> None:
        if self._is_idle() and not self._idle_armed:
            self._idle_armed = True
            self._timers.after(self._idle_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle_armed = False
        self._stopping = self._stopping or self._is_idle()

    def _is_idle(self) -> bool:
        return self._keeper.is_empty() and not self._connections


def _report_write(reply: Callable[..., None], failure: str | None, written: int) -> None:
    if failure is None:
        reply({"written": written})
    else:
        reply({"error": _SENTENCES[failure], "kind": failure, "written": written})
