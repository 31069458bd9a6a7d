"""Messages of the replication stream, byte for byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semo_hub.errors import PostgresError
from semo_hub.pgoutput import Changes, Committed, Decoder, Inserted, KeepAlive, read_frame, status_update


def relation(oid: int, *columns: str) -> bytes:
    described = b"".join(b"\1" + name.encode() + b"\0" + struct.pack("!Ii", 25, -1) for name in columns)
    return b"R" + struct.pack("!I", oid) + b"realtime\0messages\0d" + struct.pack("!H", len(columns)) + described


def insert(oid: int, *values: str | None) -> bytes:
    encoded = b"".join(
        b"n" if value is None else b"t" + struct.pack("!I", len(value.encode())) + value.encode() for value in values
    )
    return b"I" + struct.pack("!I", oid) + b"N" + struct.pack("!H", len(values)) + encoded


def test_an_inserted_row_is_told_by_its_columns() -> None:
    decoder = Decoder()
    assert decoder.read(relation(7, "topic", "payload")) is None
    fact = decoder.read(insert(7, "방", None))
    assert isinstance(fact, Inserted)
    assert (fact.relation.schema, fact.relation.name, fact.row) == (
        "realtime",
        "messages",
        {"topic": "방", "payload": None},
    )


def test_a_table_that_is_described_again_has_its_new_columns() -> None:
    decoder = Decoder()
    decoder.read(relation(7, "a"))
    decoder.read(relation(7, "a", "b"))
    fact = decoder.read(insert(7, "1", "2"))
    assert isinstance(fact, Inserted)
    assert fact.row == {"a": "1", "b": "2"}


def test_a_commit_tells_where_it_ends() -> None:
    assert Decoder().read(b"C" + struct.pack("!BQQQ", 0, 10, 20, 30)) == Committed(20)


@pytest.mark.parametrize("kind", [b"B", b"O", b"Y", b"U", b"D", b"T", b"M"])
def test_what_is_of_no_interest_is_passed_over(kind: bytes) -> None:
    assert Decoder().read(kind + b"anything") is None


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(PostgresError, match="malformed"):
        Decoder().read(insert(7, "a"))


def test_a_message_that_is_cut_short_is_an_error() -> None:
    decoder = Decoder()
    decoder.read(relation(7, "a", "b"))
    whole = insert(7, "one", "two")
    for length in range(1, len(whole)):
        with pytest.raises(PostgresError):
            decoder.read(whole[:length])


@given(st.sampled_from([b"R", b"I", b"C"]), st.binary(max_size=60))
def test_no_bytes_raise_anything_else(kind: bytes, content: bytes) -> None:
    decoder = Decoder()
    decoder.read(relation(7, "a"))
    try:
        decoder.read(kind + content)
    except PostgresError as err:
        assert "replication" in str(err) or "columns" in str(err)


def test_frames_are_changes_or_signs_of_life() -> None:
    assert read_frame(b"w" + struct.pack("!QQQ", 5, 9, 0) + b"C...") == Changes(9, b"C...")
    assert read_frame(b"k" + struct.pack("!QQB", 9, 0, 1)) == KeepAlive(9, reply_wanted=True)
    with pytest.raises(PostgresError, match="unknown kind"):
        read_frame(b"x")


def test_a_status_update_reports_one_place_three_times() -> None:
    assert struct.unpack("!cQQQQB", status_update(9, 1)) == (b"r", 9, 9, 9, 1, 0)
