import io
import math

import pytest

from semo_console.cli.actions.sending import Send, read_text
from semo_console.errors import UnreadableInput
from semo_office.models import PROMPT_BYTES_MAX


def stdin(content: bytes) -> io.BytesIO:
    return io.BytesIO(content)


def test_a_text_is_sent_as_it_is() -> None:
    assert read_text("echo 1\n", stdin(b"unread")) == "echo 1\n"


@pytest.mark.parametrize(("content", "text"), [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a ")])
def test_standard_input_is_sent_without_its_last_line_end(content: bytes, text: str) -> None:
    assert read_text("-", stdin(content)) == text


def test_standard_input_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnreadableInput, match="not UTF-8"):
        read_text("-", stdin(b"\xff\xfe"))


def test_the_longest_prompt_fits_with_its_line_end() -> None:
    assert len(read_text("-", stdin(b"x" * PROMPT_BYTES_MAX + b"\r\n"))) == PROMPT_BYTES_MAX


@pytest.mark.parametrize("more", [1, 2, 3, 300_000])
def test_more_than_the_longest_prompt_is_refused(more: int) -> None:
    with pytest.raises(UnreadableInput, match=f"more than {PROMPT_BYTES_MAX} bytes"):
        read_text("-", stdin(b"x" * (PROMPT_BYTES_MAX + more)))


def test_a_wait_is_none_some_or_for_ever() -> None:
    assert Send("x").timeout == 0
    assert Send("x", wait=30).timeout == 30
    assert Send("x", wait=math.inf).timeout is None
