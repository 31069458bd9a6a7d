"""Who wants to hear of what, and telling them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iterm2 import api_pb2

from tests.iterm2_server.layout import NotFound

if TYPE_CHECKING:
    from tests.iterm2_server.application import Application
    from tests.iterm2_server.session import Session

ALL = "all"
_LOOK_S, _SOON_S = 0.25, 0.01
_Status = api_pb2.NotificationResponse
_OF_THE_APPLICATION = {
    api_pb2.NOTIFY_ON_NEW_SESSION,
    api_pb2.NOTIFY_ON_TERMINATE_SESSION,
    api_pb2.NOTIFY_ON_LAYOUT_CHANGE,
    api_pb2.NOTIFY_ON_FOCUS_CHANGE,
    api_pb2.NOTIFY_ON_BROADCAST_CHANGE,
    api_pb2.NOTIFY_ON_SERVER_ORIGINATED_RPC,
    api_pb2.NOTIFY_ON_PROFILE_CHANGE,
}

Key = tuple[int, str, str, int]
"""Kind of notification, whose it is, name and scope of a variable."""


@dataclass(eq=False)
class Listener:
    """A connection. `send` only puts a message in line."""

    send: Callable[[api_pb2.ServerOriginatedMessage], None]
    subscriptions: dict[Key, set[int]] = field(default_factory=dict)
    """With the modes of a prompt monitor."""
    seen: dict[tuple[int, str, str], str] = field(default_factory=dict)
    """Last values of the variables it watches, as JSON."""


class Notifications:
    """The subscriptions of all connections."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._listeners: list[Listener] = []
        self._look: asyncio.TimerHandle | None = None

    def join(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def request(self, listener: Listener, request: api_pb2.NotificationRequest) -> int:
        """Subscribe or unsubscribe; returns the status. Raises `NotFound` for an unknown session."""
        key = self._key(request)
        if not request.subscribe:
            return _Status.OK if listener.subscriptions.pop(key, None) is not None else _Status.NOT_SUBSCRIBED
        if key in listener.subscriptions:
            return _Status.ALREADY_SUBSCRIBED
        modes = set(request.prompt_monitor_request.modes) or {api_pb2.PROMPT}
        listener.subscriptions[key] = {int(mode) for mode in modes}
        if request.notification_type == api_pb2.NOTIFY_ON_VARIABLE_CHANGE:
            self._remember(listener)
            self.look_at_variables()
        return _Status.OK

    def new_session(self, session: Session) -> None:
        told = api_pb2.NewSessionNotification(session_id=session.guid)
        self._tell_all(api_pb2.NOTIFY_ON_NEW_SESSION, api_pb2.Notification(new_session_notification=told))

    def terminated(self, session: Session) -> None:
        told = api_pb2.TerminateSessionNotification(session_id=session.guid)
        self._tell_all(api_pb2.NOTIFY_ON_TERMINATE_SESSION, api_pb2.Notification(terminate_session_notification=told))
        for listener in self._listeners:
            for key in [key for key in listener.subscriptions if key[1] == session.guid]:
                del listener.subscriptions[key]

    def renamed(self, before: str, guid: str) -> None:
        """A session has another id: who listens to it goes on listening."""
        for listener in self._listeners:
            for key in [key for key in listener.subscriptions if key[1] == before]:
                listener.subscriptions[(key[0], guid, *key[2:])] = listener.subscriptions.pop(key)

    def layout_change(self) -> None:
        told = api_pb2.LayoutChangedNotification(list_sessions_response=self._application.list_sessions())
        self._tell_all(api_pb2.NOTIFY_ON_LAYOUT_CHANGE, api_pb2.Notification(layout_changed_notification=told))

    def focus(self, told: api_pb2.FocusChangedNotification) -> None:
        self._tell_all(api_pb2.NOTIFY_ON_FOCUS_CHANGE, api_pb2.Notification(focus_changed_notification=told))

    def window_focus(self, window_id: str) -> None:
        window = api_pb2.FocusChangedNotification.Window(
            window_id=window_id, window_status=api_pb2.FocusChangedNotification.Window.TERMINAL_WINDOW_BECAME_KEY
        )
        self.focus(api_pb2.FocusChangedNotification(window=window))

    def screen_update(self, session: Session) -> None:
        told = api_pb2.ScreenUpdateNotification(session=session.guid)
        notification = api_pb2.Notification(screen_update_notification=told)
        self._tell(api_pb2.NOTIFY_ON_SCREEN_UPDATE, session, notification)

    def custom_sequence(self, session: Session, sender: str, payload: str) -> None:
        told = api_pb2.CustomEscapeSequenceNotification(session=session.guid, sender_identity=sender, payload=payload)
        notification = api_pb2.Notification(custom_escape_sequence_notification=told)
        self._tell(api_pb2.NOTIFY_ON_CUSTOM_ESCAPE_SEQUENCE, session, notification)

    def prompt(self, session: Session, told: api_pb2.PromptNotification, mode: int) -> None:
        notification = api_pb2.Notification(prompt_notification=told)
        self._tell(api_pb2.NOTIFY_ON_PROMPT, session, notification, mode)

    def look_at_variables(self) -> None:
        """Compare the watched variables soon, and go on while somebody watches any."""
        watched = any(
            key[0] == api_pb2.NOTIFY_ON_VARIABLE_CHANGE for each in self._listeners for key in each.subscriptions
        )
        if not watched:
            return
        if self._look is not None:
            self._look.cancel()
        self._look = asyncio.get_running_loop().call_later(_SOON_S, self._compare)

    def _key(self, request: api_pb2.NotificationRequest) -> Key:
        kind = int(request.notification_type)
        if kind == api_pb2.NOTIFY_ON_VARIABLE_CHANGE:
            monitor = request.variable_monitor_request
            return kind, self._whose(monitor.scope, monitor.identifier), monitor.name, int(monitor.scope)
        if kind in _OF_THE_APPLICATION:
            return kind, "", "", 0
        return kind, self._guid(request.session), "", 0

    def _whose(self, scope: int, identifier: str) -> str:
        return self._guid(identifier) if scope == api_pb2.SESSION else identifier

    def _guid(self, session: str) -> str:
        return ALL if session == ALL else self._application.session(session).guid

    def _tell_all(self, kind: int, notification: api_pb2.Notification) -> None:
        for listener in self._listeners:
            if (kind, "", "", 0) in listener.subscriptions:
                listener.send(api_pb2.ServerOriginatedMessage(notification=notification))

    def _tell(self, kind: int, session: Session, notification: api_pb2.Notification, mode: int | None = None) -> None:
        for listener in self._listeners:
            keys: list[Key] = [(kind, session.guid, "", 0), (kind, ALL, "", 0)]
            modes = [listener.subscriptions[key] for key in keys if key in listener.subscriptions]
            if modes and (mode is None or any(mode in wanted for wanted in modes)):
                listener.send(api_pb2.ServerOriginatedMessage(notification=notification))

    def _compare(self) -> None:
        self._look = None
        for listener in list(self._listeners):
            before = dict(listener.seen)
            self._remember(listener)
            for (scope, identifier, name), value in listener.seen.items():
                if before.get((scope, identifier, name), value) != value:
                    listener.send(_variable_changed(scope, identifier, name, value))
        if any(listener.seen for listener in self._listeners):
            # The name of the job changes without any output.
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._compare)

    def _remember(self, listener: Listener) -> None:
        listener.seen = {
            (scope, guid, name): json.dumps(value)
            for kind, whose, name, scope in listener.subscriptions
            if kind == api_pb2.NOTIFY_ON_VARIABLE_CHANGE
            for guid, value in self._values(scope, whose, name)
        }

    def _values(self, scope: int, whose: str, name: str) -> list[tuple[str, Any]]:
        if scope != api_pb2.SESSION:
            # A tab that is gone changes no more.
            with contextlib.suppress(NotFound):
                return [(whose, self._application.place(scope, whose).variable(name))]
            return []
        sessions = [session for session in self._application.sessions() if whose in (ALL, session.guid)]
        return [(session.guid, session.variable(name)) for session in sessions]


def _variable_changed(scope: int, identifier: str, name: str, value: str) -> api_pb2.ServerOriginatedMessage:
    told = api_pb2.VariableChangedNotification(
        scope=api_pb2.VariableScope.ValueType(scope), identifier=identifier, name=name, json_new_value=value
    )
    return api_pb2.ServerOriginatedMessage(notification=api_pb2.Notification(variable_changed_notification=told))
