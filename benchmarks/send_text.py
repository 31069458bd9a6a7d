"""`send_text`: from the insert to the result in the caller's hand, beside the floor of its own hops in the same run.

The text goes to a program that reads lines (`cat`), which is what typed text is for. The way of a command is five hops
one after the other: create, claim, complete and the reading of the outcome are requests to the hub, and the typing is
one exchange with the process that holds the terminal.
"""

import time
from collections.abc import Awaitable, Callable

from benchmarks.echo import echoing_holder
from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice
from semo_office.commands import CommandRepository
from semo_office.config import CredentialsFile
from semo_office.dispatcher import CommandDispatcher
from semo_office.link import Link
from semo_office.locations import StateFolder
from semo_office.models import SendText
from semo_office.offices import OfficeStore

REPEATS = 500
REQUESTS_PER_COMMAND = 4
AIM_ABOVE_FLOOR_MS = 10.0
AIM_P99_MS = 80.0


async def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    async with await Link.open(CredentialsFile(StateFolder(office.state_dir), "operator")) as link:
        stores = OfficeStore(link)
        dispatcher = CommandDispatcher(CommandRepository(link), office.office_id)

        async def bare_request() -> None:
            await stores.get_office(office.office_id)

        async def send_text() -> None:
            outcome = await dispatcher.dispatch_send_text(office.session_id, SendText(text="a line"), timeout=30)
            assert outcome.result is not None, outcome
            assert outcome.result.success, outcome.result

        await dispatcher.dispatch_send_prompt(office.session_id, "cat > /dev/null")
        async with echoing_holder() as echo:
            await _repeat(send_text, 20)
            # Taken in turns, so that whatever else the machine does falls on all alike.
            rounds = [(await _time(bare_request), await _time(echo), await _time(send_text)) for _ in range(REPEATS)]
        await dispatcher.dispatch_cancel(office.session_id, timeout=30)
    requests, echoes, commands = map(Times, NAMES, zip(*rounds, strict=True))
    floor = REQUESTS_PER_COMMAND * requests.p50 + echoes.p50
    return [
        *(times.line() for times in (requests, echoes, commands)),
        f"  floor: {REQUESTS_PER_COMMAND} requests + 1 echo{'':<31} p50 {floor:8.2f} ms",
        verdict("p50 of a command", commands.p50, floor + AIM_ABOVE_FLOOR_MS),
        verdict("p99 of a command", commands.p99, AIM_P99_MS),
    ]


NAMES = (
    "bare request to the hub (one row by key)",
    "holder: byte written → echo read",
    "send_text: insert → result in hand",
)


async def _time(action: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await action()
    return (time.perf_counter() - began) * 1000


async def _repeat(action: Callable[[], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        await action()
