"""What `semo job` says to a person."""

import pytest

from tests.acceptance.machine import Machine

pytestmark = pytest.mark.timeout(150)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("show", "ffffffff"), ("There is no job 'ffffffff'",)),
        (("cancel", ""), ("There is no job ''",)),
        (("add", "--role", "BE", "--title", "T"), ("--description",)),
        (("add", "--role", "BE", "--title", "T", "--description", " "), ("description is empty",)),
        (("add", "--role", "BE", "--title", "T", "--description", "-"), ("description is empty",)),
        (("add", "--role", "", "--title", "T", "--description", "echo"), ("role is empty",)),
        (("add", "--role", "BE", "--title", "x" * 201, "--description", "echo"), ("title of 1 to 200",)),
        (
            ("add", "--role", "BE", "--title", "T", "--description", "echo", "--depends-on", "ffffffff"),
            ("There is no job",),
        ),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    running: Machine, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    before = running.ask(lambda link: link.select("job_queue"))
    assert running.semo("job", *arguments).refused_with(*parts)
    assert len(running.ask(lambda link: link.select("job_queue"))) == len(before)
