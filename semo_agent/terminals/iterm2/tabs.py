"""Tabs of iTerm2 through its API. A session's id changes when a person restarts it; our tag stays with it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iterm2 import InitialWorkingDirectory, LocalWriteOnlyProfile, rpc
from iterm2.api_pb2 import (
    CloseResponse,
    CreateTabResponse,
    GetBufferResponse,
    ListSessionsResponse,
    SetPropertyResponse,
    SplitTreeNode,
    VariableResponse,
)

from semo_agent.errors import TabNotFound, TerminalError
from semo_agent.terminals.base import Size
from semo_agent.terminals.iterm2.connection import ITerm2Connection

TAG: Final = "user.semo"
"""The variable of a session that says whose it is."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Of one of our tabs. folder: of the agent; another agent's tabs are not ours."""

    tab: str
    folder: str

    def to_json(self) -> str:
        return json.dumps({"tab": self.tab, "folder": self.folder})

    @classmethod
    def from_json(cls, text: str) -> "Tag | None":
        """None for what is no tag of SEMO's: anybody can set the variable."""
        try:
            told = json.loads(text)
        except ValueError:
            return None
        if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in ("tab", "folder")):
            return None
        return cls(told["tab"], told["folder"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tab to be made. window: its id; None: a new one, with this size."""

    command: str
    title: str
    directory: str
    size: Size
    window: str | None


class ITerm2Tabs:
    """What we ask of iTerm2. Every call raises `TerminalError` or the leaf of it that says what happened."""

    def __init__(self, connection: ITerm2Connection) -> None:
        self._connection = connection

    async def windows(self) -> Mapping[str, str]:
        """All sessions, each with the id of its window."""
        reply = await self._connection.again(rpc.async_list_sessions)
        return dict(_sessions_in(reply.list_sessions_response))

    async def create_tab(self, wanted: Wanted) -> str:
        """Open a tab without taking the focus; its session's id. (A new window always comes to the front.)"""
        # Outside of the loop: it looks at the disk.
        profile = await asyncio.to_thread(_profile, wanted)
        reply = await self._connection.call(
            lambda connection: rpc.async_create_tab(
                connection, window=wanted.window, profile_customizations=profile.values, select=False
            )
        )
        made = reply.create_tab_response
        if made.status != CreateTabResponse.OK:
            raise TerminalError(f"iTerm2 opened no tab: {CreateTabResponse.Status.Name(made.status)}.")
        return made.session_id

    async def tag(self, session: str, tag: Tag) -> None:
        """Note on a session that it is ours."""
        sets = [(TAG, json.dumps(tag.to_json()))]
        reply = await self._connection.again(lambda connection: rpc.async_variable(connection, session, sets=sets))
        _see_ok(reply.variable_response.status)

    async def tag_of(self, session: str) -> Tag | None:
        """What stands on a session; None where it is not ours. Raises `TabNotFound`."""
        reply = await self._connection.again(lambda connection: rpc.async_variable(connection, session, gets=[TAG]))
        _see_ok(reply.variable_response.status)
        value = json.loads(reply.variable_response.values[0])
        return Tag.from_json(value) if isinstance(value, str) else None

    async def set_size(self, session: str, size: Size) -> None:
        """Ask for another size. All tabs of a window share it, and iTerm2 may give less than was asked for."""
        value = json.dumps({"width": size.cols, "height": size.rows})
        reply = await self._connection.again(
            lambda connection: rpc.async_set_property(connection, "grid_size", value, session_id=session)
        )
        status = reply.set_property_response.status
        if status != SetPropertyResponse.OK:
            raise TerminalError(f"iTerm2 did not change the size: {SetPropertyResponse.Status.Name(status)}.")

    async def get_output(self, session: str) -> list[str]:
        """The rows that iTerm2 shows, blanks at their end left out."""
        reply = await self._connection.again(lambda connection: rpc.async_get_screen_contents(connection, session))
        shown = reply.get_buffer_response
        if shown.status != GetBufferResponse.OK:
            raise TabNotFound("The tab is gone from iTerm2.")
        return [row.text.rstrip() for row in shown.contents]

    async def close_tab(self, session: str) -> None:
        """Close it without asking anybody; one that is gone already is what is wanted."""
        reply = await self._connection.again(
            lambda connection: rpc.async_close(connection, sessions=[session], force=True)
        )
        for status in reply.close_response.statuses:
            if status not in (CloseResponse.OK, CloseResponse.NOT_FOUND):
                raise TerminalError(f"iTerm2 did not close the tab: {CloseResponse.Status.Name(status)}.")


def _profile(wanted: Wanted) -> LocalWriteOnlyProfile:
    """How the tab differs from the person's default profile."""
    profile = LocalWriteOnlyProfile({"Columns": wanted.size.cols, "Rows": wanted.size.rows})  # type: ignore[dict-item]  # numbers are what iTerm2 has there
    profile.set_use_custom_command("Yes")
    profile.set_command(wanted.command)
    if Path(wanted.directory).is_dir():
        profile.set_initial_directory_mode(InitialWorkingDirectory.INITIAL_WORKING_DIRECTORY_CUSTOM)
        profile.set_custom_directory(wanted.directory)
    profile.set_name(wanted.title)
    # What an ended program printed stays to be read until the session is closed.
    profile.set_close_sessions_on_end(False)
    profile.set_unlimited_scrollback(True)
    profile.set_prompt_before_closing(False)
    return profile


def _sessions_in(response: ListSessionsResponse) -> Iterator[tuple[str, str]]:
    for window in response.windows:
        for tab in window.tabs:
            for session in _leaves(tab.root):
                yield session, window.window_id
            for minimized in tab.minimized_sessions:
                yield minimized.unique_identifier, window.window_id
    for buried in response.buried_sessions:
        yield buried.unique_identifier, ""


def _leaves(node: SplitTreeNode) -> Iterator[str]:
    for link in node.links:
        if link.HasField("session"):
            yield link.session.unique_identifier
        else:
            yield from _leaves(link.node)


def _see_ok(status: VariableResponse.Status.ValueType) -> None:
    if status == VariableResponse.SESSION_NOT_FOUND:
        raise TabNotFound("The tab is gone from iTerm2.")
    if status != VariableResponse.OK:
        raise TerminalError(f"iTerm2 refused it: {VariableResponse.Status.Name(status)}.")
