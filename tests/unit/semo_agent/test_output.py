"""Bounding what a result carries."""

import json

from hypothesis import given
from hypothesis import strategies as st

from semo_agent.output import keep_tail


def test_a_short_text_is_kept_whole() -> None:
    assert keep_tail("a\nb", 100) == ("a\nb", 0)


def test_of_a_long_text_the_last_lines_are_kept_and_the_rest_counted() -> None:
    text = "\n".join(str(number) for number in range(100))
    kept, dropped = keep_tail(text, 50)
    assert text.endswith(kept)
    assert kept.count("\n") + 1 + dropped == 100


def test_of_one_line_that_is_too_long_the_end_is_kept() -> None:
    kept, dropped = keep_tail("a" * 1000 + "end", 600)
    assert kept.endswith("end")
    assert dropped == 0


@given(st.text(max_size=400), st.integers(min_value=20, max_value=500))
def test_what_is_kept_fits_as_json(text: str, most_bytes: int) -> None:
    clean = text.encode("utf-8", "replace").decode()
    kept, _ = keep_tail(clean, most_bytes)
    assert clean.endswith(kept)
    assert len(json.dumps(kept, ensure_ascii=False).encode()) <= most_bytes + 2
