"""Personas as files."""

import pytest

from semo_office.errors import CommandError
from semo_office.personas import PERSONA_BYTES_MAX, PersonaText, read_persona

FULL = """+++
name = "백엔드 개발자"
scope = ["src/api/**"]
skills = ["write-code"]
+++

You build services.
+++ is no fence here.
"""


def test_a_file_may_say_name_scope_and_skills_before_its_text() -> None:
    persona = read_persona(FULL.encode(), "be.md", name="BE")
    assert persona == PersonaText(
        name="백엔드 개발자",
        prompt="You build services.\n+++ is no fence here.",
        scope=("src/api/**",),
        skills=("write-code",),
    )


def test_a_file_of_text_alone_is_a_persona() -> None:
    assert read_persona(b"\xef\xbb\xbfYou test.\r\nAlways.\r\n", "qa.md", name="QA") == PersonaText(
        name="QA", prompt="You test.\nAlways."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("백엔드".encode("euc-kr"), "not UTF-8 text"),
        (b"x" * (PERSONA_BYTES_MAX + 1), "more than 65536 bytes"),
        (b" \n", "says nothing"),
        (b"a\x00b", "NUL"),
        (b"+++\nname = 'a'\n", "second line +++ is missing"),
        (b"+++\nname = \n+++\nx", "between the lines +++ is TOML"),
        (b"+++\nscop = ['a']\n+++\nx", "there is no key 'scop'"),
        (b"+++\nprompt = 'a'\n+++\nx", "there is no key 'prompt'"),
        (b"+++\nscope = 'a'\n+++\nx", "scope is a list"),
        (b"+++\nname = ''\n+++\nx", "name: "),
    ],
)
def test_what_is_no_persona_is_refused_with_one_sentence(content: bytes, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_persona(content, "be.md", name="BE")
    assert str(caught.value).startswith("be.md can't be a persona: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
