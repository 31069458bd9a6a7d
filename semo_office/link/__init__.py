"""What makes Supabase trustworthy. Nothing else in SEMO knows its library."""

from semo_office.link.broadcasts import Broadcasts
from semo_office.link.expectation import Expectation
from semo_office.link.filters import Filter, among, eq, gt, gte, is_null, neq
from semo_office.link.health import LinkState, LinkStatus
from semo_office.link.hints import Hearer
from semo_office.link.link import Link
from semo_office.link.requests import CredentialsSource, Row
from semo_office.link.socket import Broadcast, Hint
from semo_office.link.timing import Timing

__all__ = [
    "Broadcast",
    "Broadcasts",
    "CredentialsSource",
    "Expectation",
    "Filter",
    "Hearer",
    "Hint",
    "Link",
    "LinkState",
    "LinkStatus",
    "Row",
    "Timing",
    "among",
    "eq",
    "gt",
    "gte",
    "is_null",
    "neq",
]
