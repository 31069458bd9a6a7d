import pytest
from hypothesis import given
from hypothesis import strategies as st

from semo_agent.holder.protocol import LONGEST_BODY, FrameReader, ProtocolError, pack

frames = st.lists(st.tuples(st.dictionaries(st.text(), st.integers() | st.text()), st.binary()), max_size=5)


@given(frames, st.integers(1, 50))
def test_frames_come_out_whole_however_they_arrive(sent: list[tuple[dict[str, int | str], bytes]], step: int) -> None:
    stream = b"".join(pack(header, body) for header, body in sent)
    reader = FrameReader()
    received = [frame for at in range(0, len(stream), step) for frame in reader.feed(stream[at : at + step])]
    assert received == sent


def test_a_frame_too_long_is_refused_before_it_arrives() -> None:
    head = pack({})[:4] + (LONGEST_BODY + 1).to_bytes(4)
    with pytest.raises(ProtocolError, match="too long"):
        list(FrameReader().feed(head))


@pytest.mark.parametrize("header", [b"nonsense", b"[1]", b"\xff"])
def test_a_header_that_is_no_object_is_refused(header: bytes) -> None:
    frame = len(header).to_bytes(4) + (0).to_bytes(4) + header
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(frame))
