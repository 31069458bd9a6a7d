"""A job from its assignment to done, on real processes: the command line, the server, the agent, bash."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.jobs import Gate, see_prompt_found_again, see_three_jobs
from tests.acceptance.machine import Machine, new_machine

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module", params=["pty", "tmux"])
def running(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with new_machine() as machine:
        machine.terminal = request.param
        machine.up()
        yield machine


def test_three_jobs_of_which_the_third_waits_for_two_and_one_is_retried_by_hand(
    running: Machine, tmp_path: Path
) -> None:
    see_three_jobs(running, tmp_path)


def test_a_server_that_is_killed_in_the_middle_of_a_job_finds_its_prompt_again(
    running: Machine, tmp_path: Path
) -> None:
    see_prompt_found_again(running, Gate(tmp_path))
