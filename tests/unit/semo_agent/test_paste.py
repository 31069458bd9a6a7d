import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from semo_agent.paste import BEGIN, END, clean, encode_paste

nasty_text = st.text(st.one_of(st.characters(), st.sampled_from("\r\n\t\x00\x1b\x7f\x9b\x85[201~")))


def test_line_ends_become_line_feeds() -> None:
    assert clean("a\r\nb\rc\nd") == "a\nb\nc\nd"


def test_line_ends_at_the_end_are_removed() -> None:
    assert clean("a\n\r\n\r\x00\n") == "a"


def test_a_pasted_escape_never_reaches_the_program() -> None:
    assert encode_paste("a\x1b[201~rm -rf\x9b201~\x00b", bracketed=True) == BEGIN + b"a[201~rm -rf201~b" + END


def test_tabs_and_blanks_and_inner_empty_lines_stay() -> None:
    assert clean("  \ta\n\n b  ") == "  \ta\n\n b  "


def test_text_is_not_normalised() -> None:
    decomposed = unicodedata.normalize("NFD", "한글 é 👩‍👩‍👧‍👦")
    assert clean(decomposed) == decomposed


def test_without_brackets_lines_end_as_if_they_were_typed() -> None:
    assert encode_paste("a\nb\n", bracketed=False) == b"a\rb"


@given(nasty_text)
def test_no_control_character_but_tab_and_line_feed_is_left(text: str) -> None:
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", clean(text)) is None


@given(nasty_text)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(nasty_text)
def test_everything_else_arrives_in_order(text: str) -> None:
    kept = [character for character in text if not re.match("[\x00-\x1f\x7f-\x9f]", character)]
    assert [character for character in clean(text) if character not in "\n\t"] == kept


@given(nasty_text)
def test_the_body_of_a_paste_holds_no_escape(text: str) -> None:
    body = encode_paste(text, bracketed=True)[len(BEGIN) : -len(END)]
    assert b"\x1b" not in body
