"""The application: routes, and what every failure becomes."""

from collections.abc import Iterable
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp

from semo_office.api.desk import Service
from semo_office.api.gate import REQUEST_ID, Gate
from semo_office.api.problems import Refused, internal, of_framework, of_office, of_validation
from semo_office.api.query import refuse_unknown_query
from semo_office.api.routes import capacity, jobs, offices, sessions
from semo_office.errors import OfficeError

METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


def make_app(service: Service, names: Iterable[str]) -> ASGIApp:
    """The API behind its gate. `names`: what a Host may be."""
    routes = make_routes()
    routes.state.service = service
    return Gate(routes, frozenset(name.lower() for name in names))


def make_routes() -> FastAPI:
    """The API without its gate."""
    app = FastAPI(
        title="SEMO Sessions API",
        version="1",
        summary="A team of coding agents in real terminals, over HTTP.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_query)],
        exception_handlers={
            Refused: _answer_refused,
            OfficeError: _answer_office,
            HTTPException: _answer_framework,
            RequestValidationError: _answer_validation,
            Exception: _answer_unexpected,
        },
    )
    for part in (offices.router, sessions.router, jobs.router, capacity.router, offices.health):
        app.include_router(part)
    return app


async def _answer_refused(request: Request, err: Exception) -> Response:
    assert isinstance(err, Refused)  # noqa: S101  # the table of handlers says so
    return err.to_response(request.scope[REQUEST_ID])


async def _answer_office(request: Request, err: Exception) -> Response:
    assert isinstance(err, OfficeError)  # noqa: S101  # the table of handlers says so
    return of_office(err).to_response(request.scope[REQUEST_ID])


async def _answer_framework(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)  # noqa: S101  # the table of handlers says so
    refused = of_framework(err)
    headers = {"Allow": ", ".join(_allowed(request))} if refused.status_code == 405 else {}
    return refused.to_response(request.scope[REQUEST_ID], headers)


async def _answer_validation(request: Request, err: Exception) -> Response:
    assert isinstance(err, RequestValidationError)  # noqa: S101  # the table of handlers says so
    return of_validation(err).to_response(request.scope[REQUEST_ID])


async def _answer_unexpected(request: Request, _err: Exception) -> Response:
    """The gate logs it."""
    return internal().to_response(request.scope[REQUEST_ID])


def _allowed(request: Request) -> list[str]:
    """Every method of this address; the router itself names those of its first route only."""
    routes: list[BaseRoute] = request.app.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
