"""What the agent's tasks end with when it stops."""

from semo_agent.errors import Stopping
from semo_agent.stopping import Stop, Tasks


async def test_a_task_that_ends_because_of_the_stop_has_not_failed() -> None:
    tasks = Tasks(Stop())

    async def stopped() -> None:
        raise Stopping("stop")

    tasks.start("stopping", stopped())
    await tasks.settle(1)
    assert tasks.failure is None
