"""The one file of expected rights: object, and verb where it has several → identity → outcome."""

from pathlib import Path

IDENTITIES = ("anon", "viewer", "operator", "admin", "agent", "other_agent", "server")
TOPICS = ("office:{id}", "office:{id}:hints")
TOPIC_USES = ("join", "write", "public twin hears", "public twin is heard")

Matrix = dict[str, dict[str, str]]


def read_expected() -> Matrix:
    """Tab-separated, one object a line, one identity a column."""
    head, *lines = (Path(__file__).parent / "expected.tsv").read_text(encoding="utf-8").splitlines()
    assert head.split("\t")[1:] == list(IDENTITIES)
    rows = (line.split("\t") for line in lines)
    return {name: dict(zip(IDENTITIES, outcomes, strict=True)) for name, *outcomes in rows}


def topic_objects() -> list[str]:
    return [f"topic {topic} {use}" for topic in TOPICS for use in TOPIC_USES]
