"""The holder's loop: one thread, one selector; nothing in it waits for a program or a client."""

import functools
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from semo_agent.holder.connection import Attachment, Connection
from semo_agent.holder.protocol import VERSION, Header, ProtocolError
from semo_agent.holder.spawn import Spawned, read_failure, spawn
from semo_agent.holder.tab import UNATTENDED, WINDOW, HeldTab, PendingWrite
from semo_agent.holder.timers import Timers

IDLE_SECONDS = 60.0
"""The holder ends when it held no tab and had no client for so long."""

_SETTLE_SECONDS = 0.25
"""A program ended but somebody still has its terminal open: wait so long for more output."""
_CLOSING_TICK = 0.02
_KILLED_SECONDS = 0.5
"""How long a group that was killed may take to be gone; where nobody reaps, it never is."""
_REOPEN_SECONDS = 0.5

_SENTENCES = {
    "ended": "The program has ended.",
    "full": "The program does not read its input and too much is waiting for it.",
    "abandoned": "The program did not read all of it in time.",
}


class RequestError(Exception):
    """A request that can't be done: a kind for the client's code, a sentence for a person."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


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
        self._tabs: dict[str, HeldTab] = {}
        self._opening = 0
        self._connections: dict[int, Connection] = {}
        self._next_connection = 0
        self._stopping = False
        self._idle_armed = False

    def run(self) -> None:
        """Serve until nothing is held and nobody is connected, or until told to shut down."""
        self._watch_children()
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

    def _verb(self, connection: Connection, header: Header) -> Callable[..., None]:
        verb = header.get("verb")
        if verb != "hello" and not connection.greeted:
            raise RequestError("bad_request", "The first request must be hello.")
        verbs: dict[Any, Callable[..., None]] = {
            "hello": self._hello,
            "open": self._open,
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

    def _pump_all(self) -> None:
        for connection in list(self._connections.values()):
            self._pump(connection)

    def _disconnect(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is None:
            return
        self._selector.unregister(connection.sock)
        connection.sock.close()
        # Tabs that waited for this client are read again.
        for attachment in connection.attachments.values():
            self._watch(attachment.tab)
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
        argv, cwd, cols, rows = header["argv"], header["cwd"], header["cols"], header["rows"]
        if not argv or not all(isinstance(word, str) for word in argv):
            raise RequestError("launch", "There is no program to start: argv must be a list of texts.")
        try:
            child = spawn(argv, cwd, header["env"], cols, rows)
        except OSError as err:
            raise RequestError("launch", f"There is no terminal to be had: {err.strerror}.") from err
        tab = HeldTab(os.urandom(6).hex(), header["tag"], child.pid, child.master, (cols, rows))
        self._opening += 1
        opened = functools.partial(self._opened, child, tab, argv, cwd, reply)
        self._selector.register(child.report, selectors.EVENT_READ, opened)

    def _opened(
        self,
        child: Spawned,
        tab: HeldTab,
        argv: list[str],
        cwd: str,
        reply: Callable[..., None],
        _events: int,
    ) -> None:
        failure = read_failure(child.report, argv, cwd)
        self._selector.unregister(child.report)
        os.close(child.report)
        self._opening -= 1
        if failure is not None:
            os.close(tab.master)
            os.waitpid(tab.pid, 0)
            self._watch_idleness()
            reply({"error": failure, "kind": "launch"})
            return
        self._tabs[tab.tab_id] = tab
        self._watch(tab)
        reply(tab.describe())
        # It may have ended before it was in the table, and then its signal found nothing to reap.
        self._reap(tab)

    def _list(self, _connection: Connection, _header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        reply({"tabs": [tab.describe() for tab in self._tabs.values()]})

    def _write(self, connection: Connection, header: Header, body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        answers = header.get("answers")
        if answers is not None:
            tab.answered = max(tab.answered, answers)
        key = (connection.number, header["id"])
        tab.queue(PendingWrite(key, body, functools.partial(_report_write, reply)))
        self._watch(tab)

    def _abandon(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        self._tab(header).abandon((connection.number, header["write"]))
        reply({})

    def _resize(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        tab.resize(header["cols"], header["rows"])
        reply({"end": tab.output.end})

    def _signal(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        group = None if tab.finished else tab.foreground_group()
        if group is None:
            raise RequestError("ended", _SENTENCES["ended"])
        os.killpg(group, header["signal"])
        reply({})

    def _end(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        tab.fail_writes("ended")
        self._end_tab(tab, header["grace"], lambda: reply({"exit": tab.exit, "end": tab.output.end}))

    def _forget(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        if not tab.finished:
            raise RequestError("bad_request", "The program still runs; end it first.")
        del self._tabs[tab.tab_id]
        for connection in self._connections.values():
            connection.attachments.pop(tab.tab_id, None)
        reply({})
        self._watch_idleness()

    def _attach(self, connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        # The last one to attach has the tab: a new agent takes over from one that hangs.
        for other in self._connections.values():
            other.attachments.pop(tab.tab_id, None)
        connection.attachments[tab.tab_id] = Attachment(tab, header["offset"])
        self._watch(tab)
        reply(tab.describe())

    def _ack(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        tab = self._tab(header)
        tab.output.forget_before(header["offset"])
        self._watch(tab)
        reply({})

    def _shutdown(self, _connection: Connection, header: Header, _body: bytes, reply: Callable[..., None]) -> None:
        left = set(self._tabs)

        def ended(tab_id: str) -> None:
            left.discard(tab_id)
            if not left:
                reply({})
                self._stopping = True

        for tab in list(self._tabs.values()):
            self._end_tab(tab, header["grace"], functools.partial(ended, tab.tab_id))
        if not left:
            ended("")

    def _tab(self, header: Header) -> HeldTab:
        tab = self._tabs.get(header["tab"])
        if tab is None:
            raise RequestError("tab_not_found", "The tab is gone.")
        return tab

    # Tabs

    def _watch(self, tab: HeldTab) -> None:
        """Ask the selector for what the tab can do: read while there is room, write while there is input."""
        if tab.finished:
            return
        if not self._attended(tab):
            tab.output.shrink_to(UNATTENDED)
        events = 0
        if not tab.hung_up and (len(tab.output) < WINDOW or not self._attended(tab)):
            events |= selectors.EVENT_READ
        if tab.writes:
            events |= selectors.EVENT_WRITE
        self._select(tab.master, events, functools.partial(self._move, tab))

    def _select(self, fd: int, events: int, action: Callable[[int], None]) -> None:
        if not events:
            self._deselect(fd)
        elif fd in self._selector.get_map():
            self._selector.modify(fd, events, action)
        else:
            self._selector.register(fd, events, action)

    def _deselect(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _attended(self, tab: HeldTab) -> bool:
        return any(tab.tab_id in connection.attachments for connection in self._connections.values())

    def _move(self, tab: HeldTab, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            tab.flush()
        if events & selectors.EVENT_READ:
            tab.read()
            if tab.hung_up:
                self._hung_up(tab)
        if not tab.finished:
            self._watch(tab)
        self._pump_all()

    def _hung_up(self, tab: HeldTab) -> None:
        if tab.exit is not None:
            self._finish(tab)
        else:
            # It closed its terminal and lives on; it may open it again.
            self._timers.after(_REOPEN_SECONDS, functools.partial(self._look_again, tab))

    def _look_again(self, tab: HeldTab) -> None:
        tab.hung_up = False
        self._watch(tab)

    def _watch_children(self) -> None:
        reader, writer = os.pipe()
        for fd in (reader, writer):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, functools.partial(self._child_ended, reader))

    def _child_ended(self, reader: int, _events: int) -> None:
        os.read(reader, 4096)
        for tab in list(self._tabs.values()):
            self._reap(tab)

    def _reap(self, tab: HeldTab) -> None:
        if not tab.reap():
            return
        if tab.hung_up:
            self._finish(tab)
        else:
            self._settle_later(tab)

    def _settle_later(self, tab: HeldTab) -> None:
        self._timers.after(_SETTLE_SECONDS, functools.partial(self._settle, tab, tab.output.end))

    def _settle(self, tab: HeldTab, seen: int) -> None:
        """Finish an ended tab whose terminal somebody keeps open, once nothing more comes."""
        waits_for_client = self._attended(tab) and len(tab.output) >= WINDOW
        if seen == tab.output.end and not waits_for_client:
            self._finish(tab)
        elif not tab.finished:
            self._settle_later(tab)

    def _finish(self, tab: HeldTab) -> None:
        if tab.finished:
            return
        self._deselect(tab.master)
        tab.finish()
        self._pump_all()

    def _end_tab(self, tab: HeldTab, grace: float, ended: Callable[[], None]) -> None:
        """Hang up, then terminate, then kill; `ended` is called when program and terminal are gone."""
        stages = [(0.0, signal.SIGHUP), (grace / 2, signal.SIGTERM), (grace, signal.SIGKILL)]
        began = self._timers.now()
        tab.ending = True

        def tick() -> None:
            waited = self._timers.now() - began
            while stages and waited >= stages[0][0] and not tab.is_gone():
                tab.note_groups()
                tab.kill(stages.pop(0)[1])
            if tab.finished and (tab.is_gone() or waited >= grace + _KILLED_SECONDS):
                ended()
            else:
                self._timers.after(_CLOSING_TICK, tick)

        tick()

    # Idleness

    def _watch_idleness(self) -> None:
        if self._is_idle() and not self._idle_armed:
            self._idle_armed = True
            self._timers.after(self._idle_seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle_armed = False
        self._stopping = self._stopping or self._is_idle()

    def _is_idle(self) -> bool:
        return not (self._tabs or self._opening or self._connections)


def _report_write(reply: Callable[..., None], failure: str | None, written: int) -> None:
    if failure is None:
        reply({"written": written})
    else:
        reply({"error": _SENTENCES[failure], "kind": failure, "written": written})
