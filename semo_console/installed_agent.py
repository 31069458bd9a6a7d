"""The agent that the system starts at a login, as `semo up` deals with it. Light: `semo up` has to be quick."""

import hashlib
import os
from typing import Final

from semo_console.errors import ProcessFailed
from semo_console.login_managers import manager_of_this_system
from semo_console.processes import Process, Processes
from semo_office.locations import StateFolder

_NAME: Final = "semo-agent"


def service_name(state: StateFolder) -> str:
    """One for each state folder; the user's own has no number."""
    from platformdirs import user_state_path

    if state.path == user_state_path("semo", appauthor=False):
        return _NAME
    return f"{_NAME}-{hashlib.sha256(os.fsencode(state.path)).hexdigest()[:8]}"


def is_installed(state: StateFolder) -> bool:
    """Whether this system starts the agent of a state folder."""
    return manager_of_this_system().path(service_name(state)).exists()


def start_installed(processes: Processes) -> Process:
    """See the installed agent serve, started if need be. Raises ProcessFailed."""
    manager_of_this_system().start(service_name(processes.state))
    try:
        return processes.await_running("agent")
    except ProcessFailed as err:
        raise ProcessFailed("The installed agent has not come up; `semo agent logs` says why.") from err
