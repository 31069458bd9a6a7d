"""Variables, properties, profiles and preferences: what clients read and set by name."""

import json
from typing import Any

from iterm2 import api_pb2
from pydantic import BaseModel, ValidationError

from semo_agent.terminals.base import Size
from tests.iterm2_server.application import Application
from tests.iterm2_server.layout import NotFound, Window
from tests.iterm2_server.profiles import DEFAULT
from tests.iterm2_server.session import Session


class _GridSize(BaseModel):
    width: int
    height: int


_SCOPES = {"tab_id": api_pb2.TAB, "window_id": api_pb2.WINDOW, "app": api_pb2.APP}


class Values:
    """Answers such requests, the same for all connections."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def on_variable_request(self, asked: api_pb2.VariableRequest) -> api_pb2.VariableResponse:
        try:
            return self._variables(asked)
        except NotFound:
            missing = {
                "tab_id": api_pb2.VariableResponse.TAB_NOT_FOUND,
                "window_id": api_pb2.VariableResponse.WINDOW_NOT_FOUND,
            }
            status = missing.get(str(asked.WhichOneof("scope")), api_pb2.VariableResponse.SESSION_NOT_FOUND)
            return api_pb2.VariableResponse(status=status)

    def _variables(self, asked: api_pb2.VariableRequest) -> api_pb2.VariableResponse:
        scope = asked.WhichOneof("scope")
        if scope is None:
            return api_pb2.VariableResponse(status=api_pb2.VariableResponse.MISSING_SCOPE)
        if any(not _is_user_variable(each.name) for each in asked.set):
            return api_pb2.VariableResponse(status=api_pb2.VariableResponse.INVALID_NAME)
        if scope == "session_id" and asked.session_id == "all":
            if asked.get:
                return api_pb2.VariableResponse(status=api_pb2.VariableResponse.MULTI_GET_DISALLOWED)
            for session in self._application.sessions():
                self._set_variables(session.user, asked)
            return api_pb2.VariableResponse(status=api_pb2.VariableResponse.OK)
        if scope == "session_id":
            session = self._application.session(asked.session_id)
            self._set_variables(session.user, asked)
            values = [session.variables() if name == "*" else session.variable(name) for name in asked.get]
        else:
            place = self._application.place(_SCOPES[scope], str(getattr(asked, scope)))
            self._set_variables(place.user, asked)
            values = [place.variable(name) for name in asked.get]
        return api_pb2.VariableResponse(
            status=api_pb2.VariableResponse.OK, values=[json.dumps(value) for value in values]
        )

    def _set_variables(self, user: dict[str, Any], asked: api_pb2.VariableRequest) -> None:
        for each in asked.set:
            value = json.loads(each.value)
            if value is None:
                user.pop(each.name, None)
            else:
                user[each.name] = value
        self._application.notifications.look_at_variables()

    def on_get_property_request(self, asked: api_pb2.GetPropertyRequest) -> api_pb2.GetPropertyResponse:
        try:
            properties = self._properties(asked)
        except NotFound:
            return api_pb2.GetPropertyResponse(status=api_pb2.GetPropertyResponse.INVALID_TARGET)
        if asked.name not in properties:
            return api_pb2.GetPropertyResponse(status=api_pb2.GetPropertyResponse.UNRECOGNIZED_NAME)
        value = json.dumps(properties[asked.name])
        return api_pb2.GetPropertyResponse(status=api_pb2.GetPropertyResponse.OK, json_value=value)

    def _properties(self, asked: api_pb2.GetPropertyRequest) -> dict[str, Any]:
        if asked.HasField("window_id"):
            return _window_properties(self._application.window(asked.window_id))
        return _session_properties(self._application.session(asked.session_id))

    def on_set_property_request(self, asked: api_pb2.SetPropertyRequest) -> api_pb2.SetPropertyResponse:
        if asked.HasField("window_id") or asked.name != "grid_size":
            return api_pb2.SetPropertyResponse(status=api_pb2.SetPropertyResponse.UNRECOGNIZED_NAME)
        try:
            session = self._application.session(asked.session_id)
            wanted = _GridSize.model_validate_json(asked.json_value)
        except NotFound:
            return api_pb2.SetPropertyResponse(status=api_pb2.SetPropertyResponse.INVALID_TARGET)
        except ValidationError:
            return api_pb2.SetPropertyResponse(status=api_pb2.SetPropertyResponse.INVALID_VALUE)
        self._application.resize(session, Size(wanted.width, wanted.height))
        return api_pb2.SetPropertyResponse(status=api_pb2.SetPropertyResponse.OK)

    def on_get_profile_property_request(
        self, asked: api_pb2.GetProfilePropertyRequest
    ) -> api_pb2.GetProfilePropertyResponse:
        try:
            properties = self._application.session(asked.session).profile.properties
        except NotFound:
            return api_pb2.GetProfilePropertyResponse(status=api_pb2.GetProfilePropertyResponse.SESSION_NOT_FOUND)
        return api_pb2.GetProfilePropertyResponse(
            status=api_pb2.GetProfilePropertyResponse.OK,
            properties=[
                api_pb2.ProfileProperty(key=key, json_value=json.dumps(value))
                for key, value in properties.items()
                if not asked.keys or key in asked.keys
            ],
        )

    def on_list_profiles_request(self, asked: api_pb2.ListProfilesRequest) -> api_pb2.ListProfilesResponse:
        response = api_pb2.ListProfilesResponse()
        for profile in self._application.profiles.all.values():
            if not asked.guids or profile.properties["Guid"] in asked.guids:
                told = response.profiles.add()
                for key, value in profile.properties.items():
                    if not asked.properties or key in asked.properties:
                        told.properties.add(key=key, json_value=json.dumps(value))
        return response

    def on_preferences_request(self, asked: api_pb2.PreferencesRequest) -> api_pb2.PreferencesResponse:
        response = api_pb2.PreferencesResponse()
        default = self._application.profiles.all[DEFAULT].properties["Guid"]
        for each in asked.requests:
            result = response.results.add()
            if each.HasField("get_default_profile_request"):
                result.get_default_profile_result.guid = default
            elif each.HasField("get_preference_request"):
                result.get_preference_result.json_value = "null"
            else:
                result.unrecognized_request.SetInParent()
        return response


def _is_user_variable(name: str) -> bool:
    """Only `user.` and one more level may be set."""
    return name.startswith("user.") and name.count(".") == 1 and name != "user."


def _session_properties(session: Session) -> dict[str, Any]:
    buffer = session.buffer
    return {
        "number_of_lines": {
            "overflow": buffer.overflow,
            "grid": buffer.size.rows,
            "history": len(buffer.history),
            "first_visible": buffer.base,
        },
        # One less in each direction, as iTerm2 has it.
        "grid_size": {"width": session.size.cols - 1, "height": session.size.rows - 1},
        "buried": False,
        "selection": None,
    }


def _window_properties(window: Window) -> dict[str, Any]:
    frame = window.message().frame
    size = {"width": frame.size.width, "height": frame.size.height}
    origin = {"x": frame.origin.x, "y": frame.origin.y}
    return {"frame": {"origin": origin, "size": size}, "fullscreen": window.fullscreen}
