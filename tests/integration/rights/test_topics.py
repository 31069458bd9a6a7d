"""Who hears and who writes the topics of an office, and what reaches their public twins."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from tests.integration.hub_fixture import RunningHub
from tests.integration.rights.expected import IDENTITIES, TOPICS, read_expected
from tests.integration.rights.office_rows import OfficeRows
from tests.integration.rights.phoenix import PhoenixSocket


@pytest.fixture(scope="module")
def rows(superuser: Connection[DictRow]) -> Iterator[OfficeRows]:
    rows = OfficeRows()
    with superuser.transaction():
        rows.insert(superuser)
    yield rows
    superuser.execute("delete from offices where id in (%s, %s)", [rows.office, rows.other_office])
    superuser.execute("delete from agent_hosts where id in (%s, %s)", [rows.host, rows.other_host])


class Office:
    """Sockets of the matrix's identities, and the database that announces."""

    def __init__(self, hub: RunningHub, rows: OfficeRows, superuser: Connection[DictRow]) -> None:
        self._hub, self._rows, self._superuser = hub, rows, superuser

    def socket(self, identity: str) -> AbstractAsyncContextManager[PhoenixSocket]:
        user = self._rows.identity(identity)
        key = self._hub.keys.publishable_key
        token = key if user is None else self._hub.token_for(str(user))
        return PhoenixSocket.open(self._hub.url, key, token)

    def topic(self, pattern: str) -> str:
        return pattern.format(id=self._rows.office)

    def announce(self, topic: str, text: str) -> None:
        self._superuser.execute(
            "select realtime.send(jsonb_build_object('text', %s::text), 'said', %s, true)", [text, topic]
        )


def expected(pattern: str, use: str, identity: str) -> str:
    return read_expected()[f"topic {pattern} {use}"][identity]


@pytest.fixture
def office(semo_hub: RunningHub, rows: OfficeRows, superuser: Connection[DictRow]) -> Office:
    return Office(semo_hub, rows, superuser)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("pattern", TOPICS)
async def test_joining_a_topic_ends_as_expected(office: Office, pattern: str, identity: str) -> None:
    async with office.socket(identity) as socket:
        joined = await socket.join(office.topic(pattern), private=True)
    assert ("allowed" if joined else "denied") == expected(pattern, "join", identity)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("pattern", TOPICS)
async def test_writing_to_a_topic_ends_as_expected(office: Office, pattern: str, identity: str) -> None:
    topic = office.topic(pattern)
    async with office.socket("admin") as listener, office.socket(identity) as writer:
        assert await listener.join(topic, private=True)
        await writer.join(topic, private=True)
        await writer.broadcast(topic, "attempt")
        office.announce(topic, "after the attempt")
        await listener.hear("after the attempt")
    assert ("allowed" if "attempt" in listener.heard else "denied") == expected(pattern, "write", identity)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("pattern", TOPICS)
async def test_the_public_twin_of_a_topic_ends_as_expected(office: Office, pattern: str, identity: str) -> None:
    topic = office.topic(pattern)
    async with office.socket("admin") as listener, office.socket(identity) as outsider:
        assert await listener.join(topic, private=True)
        await outsider.join(topic, private=False)
        await outsider.broadcast(topic, "from the twin")
        office.announce(topic, "for members")
        await listener.hear("for members")
        await outsider.broadcast(topic, "once more")
    assert ("something" if outsider.heard else "nothing") == expected(pattern, "public twin hears", identity)
    reached = "something" if listener.heard != ["for members"] else "nothing"
    assert reached == expected(pattern, "public twin is heard", identity)
