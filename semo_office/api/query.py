"""The query of a request: a parameter that no route has is a mistake of the caller, not one to pass over."""

from starlette.requests import Request

from semo_office.api.problems import Refused
from semo_office.errors import ErrorCode


def refuse_unknown_query(request: Request) -> None:
    """Raises Refused (422)."""
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    if not set(request.query_params) <= known:
        listed = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise Refused(
            422, ErrorCode.INVALID_PAYLOAD, f"This address does not have one of the query's parameters; {listed}."
        )
