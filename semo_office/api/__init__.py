"""The Sessions API: the office over HTTP, for whoever brings a token of the office. Nothing else in the office knows a
web framework."""

from semo_office.api.address import Listener, parse_listen
from semo_office.api.server import ApiServer

__all__ = ["ApiServer", "Listener", "parse_listen"]
