"""What `semo job` says to a person."""

import pytest

from tests.acceptance.jobs import add, await_status
from tests.acceptance.machine import Machine
from tests.acceptance.servers import serving

pytestmark = pytest.mark.timeout(150)


def test_a_person_reads_the_jobs_in_a_table(running: Machine) -> None:
    with serving(running):
        job_id = add(running, "Three", "exit_with() { return $1; }; exit_with 3", role="QA")
        await_status(running, job_id, "failed")
    row = next(line for line in running.semo("job", "list").out.splitlines() if line.startswith(job_id[:8]))
    assert row.split() == [job_id[:8], "QA", "failed", "Three", "exit", "3"]
    told = running.semo("job", "show", job_id[:8])
    assert "attempt 1 in session" in told.out
    assert "failed, exit 3" in told.out


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
