"""`semo hub` and `semo agent`: the services in the foreground."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

from semo_console.errors import ConsoleError
from semo_hub.__main__ import configure_logs, run
from semo_hub.errors import HubError
from semo_office.locations import StateFolder


def run_hub(state_dir: Path | None, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConsoleError when it can't."""
    state = StateFolder.find(state_dir).prepare()
    configure_logs()
    _run_translated(run(state.path, port))


def _run_translated(service: Coroutine[None, None, None]) -> None:
    failures: list[HubError] = []
    try:
        asyncio.run(service)
    except* HubError as group:
        failures = _leaves(group)
    if failures:
        raise ConsoleError(" ".join(str(failure) for failure in failures)) from failures[0]


def _leaves(group: BaseExceptionGroup[HubError]) -> list[HubError]:
    found: list[HubError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
