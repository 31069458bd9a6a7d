"""How the agent stops."""

from semo_agent.errors import Stopping
from semo_office import stopping
from semo_office.stopping import Stop

__all__ = ["Stop", "Tasks"]


class Tasks(stopping.Tasks):
    expected = (Stopping,)
