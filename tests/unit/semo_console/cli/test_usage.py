"""Command lines that are refused before anything is asked of an office."""

import pytest

from semo_console.cli import main

ADD = ("job", "add", "--role", "BE", "--title", "T", "--description", "echo")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("job", "add", "--role", "BE", "--title", "T"), ("--description", "--file")),
        (("job", "add", "--title", "T", "--description", "echo"), ("--role", "--agent")),
        ((*ADD, "--turn-limit", "-5"), ("--turn-limit",)),
        ((*ADD, "--turn-limit", "nan"), ("--turn-limit",)),
        ((*ADD, "--priority", "9999999999"), ("--priority",)),
        ((*ADD, "--file", "jobs.toml"), ("--file", "give nothing else")),
        (("job", "add", "--file", "no-such-file"), ("no-such-file can't be read: no such file",)),
        (("job", "add", "--file", "."), (". can't be read: is a directory",)),
        (("job", "review", "3f2a", "maybe"), ("'done|failed|retry': 'maybe' is not one of 'done'",)),
        (("pool", "sett"), ("Did you mean 'set', 'status'? `semo",)),
        (("job", "list", "--status", "asleep"), ("asleep",)),
        (("team", "add"), ("--role",)),
        (("persona", "set", "--role", "BE", "no-such-file"), ("no-such-file can't be read",)),
        (("office", "create", "/no/such/folder"), ("/no/such/folder is not a folder",)),
        (("office", "create", "/", "--name", ""), ("1 to 100 characters; choose one with --name",)),
        (("office", "create", "/", "--name", "a\nb"), ("one line without control characters",)),
    ],
)
def test_a_command_line_that_means_nothing_is_refused_with_one_sentence(
    arguments: tuple[str, ...], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)
    told = capsys.readouterr()
    assert code != 0
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert all(part in told.err for part in parts), told.err
