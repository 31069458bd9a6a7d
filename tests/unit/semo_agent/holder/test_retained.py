from semo_agent.holder.retained import RetainedOutput


def retained(data: bytes) -> RetainedOutput:
    output = RetainedOutput()
    output.append(data)
    return output


def test_what_was_acknowledged_is_gone_and_offsets_go_on() -> None:
    output = retained(b"0123456789")
    output.forget_before(4)
    output.append(b"ab")
    assert (output.start, output.end, len(output)) == (4, 12, 8)
    assert output.read(6, 3) == (6, b"678")


def test_reading_what_is_gone_begins_at_the_oldest_kept() -> None:
    output = retained(b"0123456789")
    output.shrink_to(3)
    assert output.read(0, 100) == (7, b"789")


def test_an_acknowledgement_beyond_the_end_forgets_only_what_there_is() -> None:
    output = retained(b"abc")
    output.forget_before(99)
    assert (output.start, output.end) == (3, 3)


def test_an_old_acknowledgement_changes_nothing() -> None:
    output = retained(b"abcdef")
    output.forget_before(4)
    output.forget_before(2)
    assert output.read(0, 9) == (4, b"ef")
