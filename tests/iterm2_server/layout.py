"""Windows, their tabs, and the panes in a tab."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from iterm2 import api_pb2

from semo_agent.terminals.base import Size
from tests.iterm2_server.session import Session

_CELL = (8, 16)  # points


class NotFound(Exception):
    """No session, tab or window has this id."""


@dataclass(eq=False)
class Split:
    """Panes beside or above one another; `vertical` is about the divider."""

    vertical: bool
    children: "list[Session | Split]"

    def sessions(self) -> Iterator[Session]:
        for child in self.children:
            if isinstance(child, Split):
                yield from child.sessions()
            else:
                yield child

    def resize(self, size: Size) -> None:
        """Share the space; dividers take a cell each."""
        count = len(self.children)
        whole = size.cols if self.vertical else size.rows
        share, rest = divmod(max(whole - (count - 1), count), count)
        for at, child in enumerate(self.children):
            mine = max(share + (at < rest), 2)
            child.resize(Size(mine, size.rows) if self.vertical else Size(size.cols, mine))

    def replace(self, session: Session, new: "Session | Split") -> None:
        for at, child in enumerate(self.children):
            if child is session:
                self.children[at] = new
            elif isinstance(child, Split):
                child.replace(session, new)

    def remove(self, session: Session) -> None:
        """Take a session out; a split that has nothing left goes as well."""
        left: list[Session | Split] = []
        for child in self.children:
            if isinstance(child, Split):
                child.remove(session)
                if child.children:
                    left.append(child)
            elif child is not session:
                left.append(child)
        self.children = left

    def message(self) -> api_pb2.SplitTreeNode:
        node = api_pb2.SplitTreeNode(vertical=self.vertical)
        for child in self.children:
            if isinstance(child, Split):
                node.links.add().node.CopyFrom(child.message())
            else:
                node.links.add().session.CopyFrom(summary(child))
        return node


@dataclass(eq=False)
class Tab:
    number: int
    root: Split
    active: Session
    title: str | None = None
    user: dict[str, Any] = field(default_factory=dict)

    def variable(self, name: str) -> Any:
        """The value of a variable; None where there is none."""
        own = {"id": self.number, "title": self.title or self.active.name, "titleOverride": self.title}
        return {**own, **self.user}.get(name)

    @property
    def tab_id(self) -> str:
        return str(self.number)

    def message(self) -> api_pb2.ListSessionsResponse.Tab:
        return api_pb2.ListSessionsResponse.Tab(
            tab_id=self.tab_id, root=self.root.message(), active_session_id=self.active.guid
        )


@dataclass(eq=False)
class Window:
    """All tabs of a window have its size. `visible`: neither in the dock nor covered by another."""

    number: int
    size: Size
    tabs: list[Tab] = field(default_factory=list)
    selected: Tab | None = None
    visible: bool = True
    fullscreen: bool = False
    origin: tuple[int, int] = (0, 0)
    user: dict[str, Any] = field(default_factory=dict)

    def variable(self, name: str) -> Any:
        return {"id": self.window_id, "number": self.number, **self.user}.get(name)

    @property
    def window_id(self) -> str:
        return f"pty-{self.number:08X}-0000-4000-8000-000000000000"

    def resize(self, size: Size) -> None:
        self.size = size
        for tab in self.tabs:
            tab.root.resize(size)

    def message(self) -> api_pb2.ListSessionsResponse.Window:
        message = api_pb2.ListSessionsResponse.Window(
            window_id=self.window_id, number=self.number, frame=frame(self.size, self.origin)
        )
        message.tabs.extend(tab.message() for tab in self.tabs)
        if self.selected is not None:
            message.selected_tab_id = self.selected.tab_id
        return message


def summary(session: Session) -> api_pb2.SessionSummary:
    size = api_pb2.Size(width=session.size.cols, height=session.size.rows)
    return api_pb2.SessionSummary(
        unique_identifier=session.guid, frame=frame(session.size), grid_size=size, title=session.name
    )


def frame(size: Size, origin: tuple[int, int] = (0, 0)) -> api_pb2.Frame:
    width, height = size.cols * _CELL[0], size.rows * _CELL[1]
    place = api_pb2.Point(x=origin[0], y=origin[1])
    return api_pb2.Frame(origin=place, size=api_pb2.Size(width=width, height=height))
