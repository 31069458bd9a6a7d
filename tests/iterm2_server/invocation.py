"""Functions and methods that a client calls by their written form: `iterm2.set_name(name: "…")`."""

import json
import re
from typing import Any

from iterm2 import api_pb2

from tests.iterm2_server.application import Application
from tests.iterm2_server.layout import NotFound
from tests.iterm2_server.session import Session

_CALL = re.compile(r"\s*(?P<name>[\w.]+)\s*\((?P<arguments>.*)\)\s*\Z", re.DOTALL)
_ARGUMENT = re.compile(r"\s*(?P<name>\w+)\s*:\s*")
_Response = api_pb2.InvokeFunctionResponse


class Malformed(Exception):
    """What was written is no call."""


class Invocations:
    """The calls that are known."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def answer(self, asked: api_pb2.InvokeFunctionRequest) -> api_pb2.InvokeFunctionResponse:
        try:
            name, arguments = parse_call(asked.invocation)
            return self._call(asked, name, arguments)
        except Malformed as err:
            return _failed(_Response.REQUEST_MALFORMED, str(err))
        except NotFound as err:
            return _failed(_Response.INVALID_ID, f"No object has the id {err}")

    def _call(
        self, asked: api_pb2.InvokeFunctionRequest, name: str, arguments: dict[str, Any]
    ) -> api_pb2.InvokeFunctionResponse:
        if name == "iterm2.set_name" and "name" in arguments:
            session = self._session(asked)
            session.given_name = str(arguments["name"])
            self._application.changed(session)
        elif name == "iterm2.set_title" and "title" in arguments:
            self._set_title(asked.method.receiver, str(arguments["title"]))
        else:
            signature = f"{name}({','.join(sorted(arguments))})"
            return _failed(_Response.FAILED, f"No function registered for invocation “{signature}”.")
        return _Response(success=_Response.Success(json_result="null"))

    def _session(self, asked: api_pb2.InvokeFunctionRequest) -> Session:
        return self._application.session(asked.method.receiver or asked.session.session_id)

    def _set_title(self, receiver: str, title: str) -> None:
        tab = self._application.tab(receiver)
        tab.title = title or None
        self._application.notifications.look_at_variables()


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of a call. Raises `Malformed`."""
    if (call := _CALL.match(text)) is None:
        raise Malformed(f"Not a function call: {text}")
    arguments: dict[str, Any] = {}
    rest = call["arguments"].strip()
    while rest:
        if (argument := _ARGUMENT.match(rest)) is None:
            raise Malformed(f"Not an argument: {rest}")
        try:
            value, end = json.JSONDecoder().raw_decode(rest, argument.end())
        except ValueError as err:
            raise Malformed(f"Not a value: {rest}") from err
        arguments[argument["name"]] = value
        rest = rest[end:].strip().removeprefix(",").strip()
    return call["name"], arguments


def _failed(status: api_pb2.InvokeFunctionResponse.Status.ValueType, reason: str) -> api_pb2.InvokeFunctionResponse:
    return _Response(error=_Response.Error(status=status, error_reason=reason))
