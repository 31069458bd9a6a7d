from semo_agent.budget import Budget
from tests.unit.semo_office.fakes import ManualTime


async def test_half_a_second_of_messages_may_come_at_once_and_the_rest_waits() -> None:
    time = ManualTime()
    budget = Budget(10.0, time.timing.clock)
    budget.spend(5)
    assert budget.wait() == 0
    budget.spend(2)
    assert budget.wait() == 0.2
    await time.advance(0.2)
    assert budget.wait() == 0


async def test_what_is_not_spent_is_not_saved_up() -> None:
    time = ManualTime()
    budget = Budget(10.0, time.timing.clock)
    await time.advance(100.0)
    budget.spend(15)
    assert budget.wait() == 1.0
