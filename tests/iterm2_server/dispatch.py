"""Every request of the API that is known here, and its answer."""

from collections.abc import Callable
from typing import Any

from iterm2 import api_pb2

from tests.iterm2_server.application import Application
from tests.iterm2_server.invocation import Invocations
from tests.iterm2_server.layout import NotFound, Tab, Window
from tests.iterm2_server.notifications import Listener
from tests.iterm2_server.profiles import MissingSubstitution, UnknownProfile
from tests.iterm2_server.reading import read_buffer
from tests.iterm2_server.session import Session
from tests.iterm2_server.values import Values

Request = api_pb2.ClientOriginatedMessage
Response = api_pb2.ServerOriginatedMessage
Status = Any
"""Enumerations of protobuf are integers with names; every message has its own."""


class Dispatcher:
    """Answers one connection."""

    def __init__(self, application: Application, listener: Listener) -> None:
        self._application = application
        self._listener = listener
        self._invocations = Invocations(application)
        self._values = Values(application)
        self.in_transaction = False

    def answer(self, request: Request) -> Response:
        kind = request.WhichOneof("submessage")
        part = self if hasattr(self, f"on_{kind}") else self._values
        handler = getattr(part, f"on_{kind}", None)
        if handler is None:
            return Response(id=request.id, error=f"Unrecognized request {kind or ''}".rstrip())
        response = Response(id=request.id)
        answer = getattr(response, str(kind).removesuffix("request") + "response")
        try:
            answer.CopyFrom(handler(getattr(request, str(kind))))
        except ValueError as err:
            return Response(id=request.id, error=f"Malformed request: {err}")
        answer.SetInParent()
        return response

    # Sessions, tabs, windows.

    def on_list_sessions_request(self, asked: api_pb2.ListSessionsRequest) -> api_pb2.ListSessionsResponse:
        return self._application.list_sessions()

    def on_create_tab_request(self, asked: api_pb2.CreateTabRequest) -> api_pb2.CreateTabResponse:
        try:
            profile = self._application.profiles.named(asked.profile_name).customized(asked.custom_profile_properties)
            window = self._application.window(asked.window_id) if asked.window_id else None
            too_far = window is not None and asked.HasField("tab_index") and asked.tab_index > len(window.tabs)
            index = asked.tab_index if asked.HasField("tab_index") and not too_far else None
            select = asked.select_tab if asked.HasField("select_tab") else True
            window, tab, session = self._application.create_tab(profile, window, index, select=select)
        except UnknownProfile:
            return api_pb2.CreateTabResponse(status=api_pb2.CreateTabResponse.INVALID_PROFILE_NAME)
        except NotFound:
            return api_pb2.CreateTabResponse(status=api_pb2.CreateTabResponse.INVALID_WINDOW_ID)
        except MissingSubstitution:
            return api_pb2.CreateTabResponse(status=api_pb2.CreateTabResponse.MISSING_SUBSTITUTION)
        status = api_pb2.CreateTabResponse.INVALID_TAB_INDEX if too_far else api_pb2.CreateTabResponse.OK
        return api_pb2.CreateTabResponse(
            status=status, window_id=window.window_id, tab_id=tab.number, session_id=session.guid
        )

    def on_split_pane_request(self, asked: api_pb2.SplitPaneRequest) -> api_pb2.SplitPaneResponse:
        try:
            session = self._application.session(asked.session)
            profile = self._application.profiles.named(asked.profile_name).customized(asked.custom_profile_properties)
            vertical = asked.split_direction == api_pb2.SplitPaneRequest.VERTICAL
            new = self._application.split(session, profile, vertical=vertical, before=asked.before)
        except NotFound:
            return api_pb2.SplitPaneResponse(status=api_pb2.SplitPaneResponse.SESSION_NOT_FOUND)
        except UnknownProfile:
            return api_pb2.SplitPaneResponse(status=api_pb2.SplitPaneResponse.INVALID_PROFILE_NAME)
        except ValueError:
            malformed = api_pb2.SplitPaneResponse.MALFORMED_CUSTOM_PROFILE_PROPERTY
            return api_pb2.SplitPaneResponse(status=malformed)
        return api_pb2.SplitPaneResponse(status=api_pb2.SplitPaneResponse.OK, session_id=[new.guid])

    def on_close_request(self, asked: api_pb2.CloseRequest) -> api_pb2.CloseResponse:
        find, ids = _targets(self._application, asked)
        return api_pb2.CloseResponse(statuses=[self._close(find, each, force=asked.force) for each in ids])

    def _close(self, find: "Callable[[str], list[Session]]", target: str, *, force: bool) -> Status:
        try:
            sessions = find(target)
        except NotFound:
            return api_pb2.CloseResponse.NOT_FOUND
        if not force and any(session.profile.asks_before_closing and not session.exited for session in sessions):
            # Nobody sits there to agree.
            return api_pb2.CloseResponse.USER_DECLINED
        for session in sessions:
            self._application.close(session)
        return api_pb2.CloseResponse.OK

    def on_restart_session_request(self, asked: api_pb2.RestartSessionRequest) -> api_pb2.RestartSessionResponse:
        try:
            session = self._application.session(asked.session_id)
        except NotFound:
            return api_pb2.RestartSessionResponse(status=api_pb2.RestartSessionResponse.SESSION_NOT_FOUND)
        if asked.only_if_exited and not session.exited:
            return api_pb2.RestartSessionResponse(status=api_pb2.RestartSessionResponse.SESSION_NOT_RESTARTABLE)
        session.restart()
        return api_pb2.RestartSessionResponse(status=api_pb2.RestartSessionResponse.OK)

    def on_activate_request(self, asked: api_pb2.ActivateRequest) -> api_pb2.ActivateResponse:
        try:
            window, tab, session = self._identified(asked)
        except NotFound:
            return api_pb2.ActivateResponse(status=api_pb2.ActivateResponse.BAD_IDENTIFIER)
        if window is not None:
            self._application.activate(
                window,
                tab if asked.select_tab else None,
                session if asked.select_session else None,
                front=asked.order_window_front,
            )
        return api_pb2.ActivateResponse(status=api_pb2.ActivateResponse.OK)

    def _identified(self, asked: api_pb2.ActivateRequest) -> tuple[Window | None, Tab | None, Session | None]:
        if asked.HasField("session_id"):
            session = self._application.session(asked.session_id)
            tab = self._application.tab_of(session)
            return self._application.window_of(tab), tab, session
        if asked.HasField("tab_id"):
            tab = self._application.tab(asked.tab_id)
            return self._application.window_of(tab), tab, None
        return (self._application.window(asked.window_id) if asked.HasField("window_id") else None), None, None

    def on_focus_request(self, asked: api_pb2.FocusRequest) -> api_pb2.FocusResponse:
        told = [api_pb2.FocusChangedNotification(application_active=self._application.is_active)]
        if (window := self._application.current_window) is not None:
            current = api_pb2.FocusChangedNotification.Window.TERMINAL_WINDOW_IS_CURRENT
            key = api_pb2.FocusChangedNotification.Window(window_id=window.window_id, window_status=current)
            told.append(api_pb2.FocusChangedNotification(window=key))
        selected = [each.selected for each in self._application.windows if each.selected is not None]
        told.extend(api_pb2.FocusChangedNotification(selected_tab=tab.tab_id) for tab in selected)
        told.extend(api_pb2.FocusChangedNotification(session=tab.active.guid) for tab in self._application.tabs())
        return api_pb2.FocusResponse(notifications=told)

    def on_get_broadcast_domains_request(
        self, asked: api_pb2.GetBroadcastDomainsRequest
    ) -> api_pb2.GetBroadcastDomainsResponse:
        return api_pb2.GetBroadcastDomainsResponse()

    # Typing and reading.

    def on_send_text_request(self, asked: api_pb2.SendTextRequest) -> api_pb2.SendTextResponse:
        try:
            session = self._application.session(asked.session)
        except NotFound:
            return api_pb2.SendTextResponse(status=api_pb2.SendTextResponse.SESSION_NOT_FOUND)
        if session.exited:
            return api_pb2.SendTextResponse(status=api_pb2.SendTextResponse.SESSION_NOT_FOUND)
        session.type(asked.text.encode())
        return api_pb2.SendTextResponse(status=api_pb2.SendTextResponse.OK)

    def on_inject_request(self, asked: api_pb2.InjectRequest) -> api_pb2.InjectResponse:
        return api_pb2.InjectResponse(status=[self._inject(guid, asked.data) for guid in asked.session_id])

    def _inject(self, guid: str, data: bytes) -> Status:
        try:
            self._application.session(guid).inject(data)
        except NotFound:
            return api_pb2.InjectResponse.SESSION_NOT_FOUND
        return api_pb2.InjectResponse.OK

    def on_get_buffer_request(self, asked: api_pb2.GetBufferRequest) -> api_pb2.GetBufferResponse:
        try:
            return read_buffer(self._application.session(asked.session).buffer, asked)
        except NotFound:
            return api_pb2.GetBufferResponse(status=api_pb2.GetBufferResponse.SESSION_NOT_FOUND)

    def on_get_prompt_request(self, asked: api_pb2.GetPromptRequest) -> api_pb2.GetPromptResponse:
        try:
            session = self._application.session(asked.session)
        except NotFound:
            return api_pb2.GetPromptResponse(status=api_pb2.GetPromptResponse.SESSION_NOT_FOUND)
        wanted = asked.unique_prompt_id
        found = [prompt for prompt in self._application.prompts.of(session) if wanted in ("", prompt.prompt_id)]
        if not found:
            return api_pb2.GetPromptResponse(status=api_pb2.GetPromptResponse.PROMPT_UNAVAILABLE)
        return found[-1].message(session)

    def on_list_prompts_request(self, asked: api_pb2.ListPromptsRequest) -> api_pb2.ListPromptsResponse:
        try:
            session = self._application.session(asked.session)
        except NotFound:
            return api_pb2.ListPromptsResponse(status=api_pb2.ListPromptsResponse.SESSION_NOT_FOUND)
        ids = [prompt.prompt_id for prompt in self._application.prompts.of(session)]
        first = ids.index(asked.first_unique_id) if asked.first_unique_id in ids else 0
        last = ids.index(asked.last_unique_id) if asked.last_unique_id in ids else len(ids)
        return api_pb2.ListPromptsResponse(
            status=api_pb2.ListPromptsResponse.OK, unique_prompt_id=ids[first : last + 1]
        )

    # Notifications and transactions.

    def on_notification_request(self, asked: api_pb2.NotificationRequest) -> api_pb2.NotificationResponse:
        try:
            status: Status = self._application.notifications.request(self._listener, asked)
        except NotFound:
            status = api_pb2.NotificationResponse.SESSION_NOT_FOUND
        return api_pb2.NotificationResponse(status=status)

    def on_transaction_request(self, asked: api_pb2.TransactionRequest) -> api_pb2.TransactionResponse:
        if asked.begin == self.in_transaction:
            mine, none = api_pb2.TransactionResponse.ALREADY_IN_TRANSACTION, api_pb2.TransactionResponse.NO_TRANSACTION
            return api_pb2.TransactionResponse(status=mine if asked.begin else none)
        self.in_transaction = asked.begin
        return api_pb2.TransactionResponse(status=api_pb2.TransactionResponse.OK)

    def on_invoke_function_request(self, asked: api_pb2.InvokeFunctionRequest) -> api_pb2.InvokeFunctionResponse:
        return self._invocations.answer(asked)


def _targets(application: Application, asked: api_pb2.CloseRequest) -> tuple[Callable[[str], list[Session]], list[str]]:
    """How to find the sessions behind an id, and the ids."""
    if asked.HasField("tabs"):
        return lambda tab_id: list(application.tab(tab_id).root.sessions()), list(asked.tabs.tab_ids)
    if asked.HasField("windows"):

        def of_window(window_id: str) -> list[Session]:
            return [session for tab in application.window(window_id).tabs for session in tab.root.sessions()]

        return of_window, list(asked.windows.window_ids)
    return lambda guid: [application.session(guid)], list(asked.sessions.session_ids)
