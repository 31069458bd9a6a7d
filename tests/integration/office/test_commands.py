"""Commands between two identities, on the real hub."""

import asyncio
from itertools import pairwise
from uuid import UUID, uuid4

import httpx
import pytest

from semo_office.commands import NewCommand, OutcomeKind
from semo_office.errors import CommandError, CommandNotFound, ErrorCode, LinkError, WaitEnded
from semo_office.link import eq
from semo_office.models import (
    AgentCommand,
    CommandStatus,
    CreateSession,
    SendPrompt,
    SendText,
    SessionReport,
    SessionStatus,
    Stage,
)
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import READY, Identity, Party, signed_in, token_of


def code_of(caught: pytest.ExceptionInfo[CommandError]) -> ErrorCode:
    return caught.value.code


async def test_a_prompt_leaves_a_receipt_of_every_step(party: Party) -> None:
    session_id = await party.new_session()
    sent = asyncio.create_task(party.dispatcher.dispatch_send_prompt(session_id, "echo 42", timeout=20.0))
    command = await party.claim_when_there()
    assert command.payload == {"prompt": "echo 42"}
    await party.accept(command)
    executing = await party.operator.sessions.get_session(session_id)
    assert executing is not None
    assert (executing.status, executing.active_turn_command_id) == (SessionStatus.EXECUTING, command.id)
    await party.complete(command, "42")
    outcome = await sent
    assert outcome.kind is OutcomeKind.FINISHED
    assert outcome.result is not None
    assert outcome.result.success
    assert outcome.result.result == {"output": "42"}
    assert [event.stage for event in outcome.events] == ["queued", "claimed", "typed", "accepted", "turn_ended"]
    assert [event.actor for event in outcome.events] == ["operator", *["agent"] * 4]
    assert outcome.session is not None
    assert (outcome.session.status, outcome.session.active_turn_command_id) == (SessionStatus.READY, None)


async def test_the_same_command_again_is_the_same_row_and_another_body_a_conflict(party: Party) -> None:
    session_id = await party.new_session()
    command = party.prompt(session_id, "one")
    first = await party.operator.commands.create_command(command)
    assert await party.operator.commands.create_command(command) == first
    with pytest.raises(CommandError) as caught:
        await party.operator.commands.create_command(command.model_copy(update={"payload": {"prompt": "two"}}))
    assert code_of(caught) is ErrorCode.CONFLICT


async def test_two_callers_with_one_id_at_the_same_moment_make_one_row(party: Party) -> None:
    session_id = await party.new_session()
    command = party.prompt(session_id, "one")
    rows = await asyncio.gather(*(party.operator.commands.create_command(command) for _ in range(8)))
    assert len({row.sequence for row in rows}) == 1
    assert len(await party.operator.commands.pending_commands([session_id])) == 1


class LosesAnswers(httpx.AsyncHTTPTransport):
    """The real network, but for one answer on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.lose_next = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if self.lose_next:
            self.lose_next = False
            await response.aread()
            raise httpx.ReadError("the connection broke", request=request)
        return response


async def test_a_command_whose_answer_was_lost_is_there_once(party: Party) -> None:
    session_id, network = await party.new_session(), LosesAnswers()
    async with signed_in(party.operator.identity, transport=network) as operator:
        network.lose_next = True
        await operator.commands.create_command(party.prompt(session_id, "once"))
        assert not network.lose_next
    assert len(await party.operator.commands.pending_commands([session_id])) == 1


async def test_taking_back_a_command_survives_a_lost_answer(party: Party) -> None:
    session_id, network = await party.new_session(), LosesAnswers()
    command = await party.operator.commands.create_command(party.prompt(session_id, "never"))
    async with signed_in(party.operator.identity, transport=network) as operator:
        network.lose_next = True
        taken_back = await operator.commands.cancel_command(command.id)
    assert (taken_back.status, taken_back.error) == (CommandStatus.FAILED, ErrorCode.CANCELLED)


async def test_r5_taking_back_a_command_settles_who_waits_for_it(party: Party) -> None:
    session_id = await party.new_session()
    command = await party.operator.commands.create_command(party.prompt(session_id, "never"))
    wait = asyncio.create_task(party.operator.commands.wait_for_result(command.id, None))
    async with signed_in(party.operator.identity) as other, asyncio.timeout(10):
        await other.commands.cancel_command(command.id)
        result = await wait
    assert (result.success, result.error) == (False, ErrorCode.CANCELLED)


async def test_what_has_begun_can_not_be_taken_back(party: Party) -> None:
    session_id = await party.new_session()
    command = await party.operator.commands.create_command(party.prompt(session_id, "begun"))
    await party.claim_one()
    with pytest.raises(CommandError) as caught:
        await party.operator.commands.cancel_command(command.id)
    assert code_of(caught) is ErrorCode.CONFLICT


async def test_a_claim_whose_answer_was_lost_is_handed_out_by_the_next(party: Party) -> None:
    session_id, network = await party.new_session(), LosesAnswers()
    command = await party.operator.commands.create_command(party.prompt(session_id, "lost"))
    async with signed_in(party.host.identity, transport=network) as host:
        commands = host.commands
        network.lose_next = True
        with pytest.raises(LinkError):
            await commands.claim_commands(party.instance)
        again = await commands.claim_commands(party.instance)
        assert [each.command.id for each in again] == [command.id]
        await party.accept(again[0].command)
        assert await commands.claim_commands(party.instance) == []


async def test_a_foreign_token_changes_nothing_and_says_so(party: Party) -> None:
    session_id = await party.new_session()
    await party.operator.commands.create_command(party.prompt(session_id, "mine"))
    command = await party.claim_one()
    before = await party.operator.commands.get_outcome(command.id)
    with pytest.raises(CommandError) as caught:
        await party.host.commands.complete_command(command.id, uuid4(), result={}, session=READY)
    assert code_of(caught) is ErrorCode.CONFLICT
    with pytest.raises(CommandError) as caught:
        await party.host.commands.report_stage(command.id, uuid4(), Stage.TYPED)
    assert code_of(caught) is ErrorCode.CONFLICT
    assert await party.operator.commands.get_outcome(command.id) == before


async def test_completing_twice_keeps_the_first_result(party: Party) -> None:
    session_id = await party.new_session()
    await party.operator.commands.create_command(party.prompt(session_id, "once"))
    command = await party.claim_one()
    host, token = party.host.commands, token_of(command)
    first = await host.complete_command(command.id, token, result={"output": "first"})
    second = await host.complete_command(command.id, token, error=ErrorCode.TIMEOUT, message="late")
    assert (first.kept, second.kept) == ("completed", "repeated")
    result = await party.operator.commands.get_command_result(command.id)
    assert result is not None
    assert (result.success, result.result) == (True, {"output": "first"})


async def test_a_failure_comes_with_its_code_and_sentence(party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.dispatcher.dispatch_send_prompt(session_id, "x")
    command = await party.claim_one()
    await party.host.commands.complete_command(
        command.id, token_of(command), error=ErrorCode.SESSION_BLOCKED, message="It asks something."
    )
    result = await party.operator.commands.wait_for_result(sent.command.id, 5.0)
    assert (result.success, result.error, result.message) == (False, ErrorCode.SESSION_BLOCKED, "It asks something.")


async def run_lanes(party: Party, received: dict[UUID, list[str]], wanted: int) -> None:
    """An agent that types what it is handed into lists instead of terminals."""

    async def run(command: AgentCommand) -> None:
        received[command.session_id].append(str(command.payload["prompt"]))
        await party.accept(command)
        await party.complete(command)

    async with party.host.link.expect(party.office_id, ("agent_commands", None)) as change:
        while sum(map(len, received.values())) < wanted:
            claimed = await party.host.commands.claim_commands(party.instance)
            await asyncio.gather(*(run(each.command) for each in claimed))
            if not claimed:
                await change.next(1.0)
                await party.host.commands.renew_leases(party.instance)


async def test_two_racing_clients_keep_the_order_of_each_lane_and_nothing_comes_twice(party: Party) -> None:
    sessions = [await party.new_session() for _ in range(3)]
    received: dict[UUID, list[str]] = {session_id: [] for session_id in sessions}
    written: list[AgentCommand] = []

    async def race(client: str) -> None:
        async with signed_in(party.operator.identity) as side:
            for number in range(12):
                session_id = sessions[number % 3]
                written.append(await side.commands.create_command(party.prompt(session_id, f"{client}{number}")))

    async with asyncio.timeout(40):
        await asyncio.gather(race("a"), race("b"), run_lanes(party, received, 24))
    for session_id in sessions:
        in_order = sorted((each for each in written if each.session_id == session_id), key=lambda each: each.sequence)
        assert received[session_id] == [each.payload["prompt"] for each in in_order]
    await assert_one_in_the_lane_at_a_time(party, written)


async def assert_one_in_the_lane_at_a_time(party: Party, written: list[AgentCommand]) -> None:
    """A prompt is claimed only after the turn of the one before has ended, by the clock of the database."""
    for session_id in {each.session_id for each in written}:
        turns = []
        for each in written:
            if each.session_id == session_id:
                at = {event.stage: event.at for event in await party.operator.commands.events(each.id)}
                turns.append((at["claimed"], at["turn_ended"]))
        turns.sort()
        assert all(ended <= claimed for (_, ended), (claimed, _) in pairwise(turns))


async def test_an_answer_passes_a_prompt_that_waits(party: Party) -> None:
    session_id = await party.new_session()
    await party.dispatcher.dispatch_send_prompt(session_id, "first")
    await party.accept(await party.claim_one())
    waiting = await party.dispatcher.dispatch_send_prompt(session_id, "second")
    asks = SessionReport(status=SessionStatus.WAITING_INPUT, status_source="test", reason="menu")
    await party.host.sessions.set_session(party.instance, session_id, asks)
    answer = await party.dispatcher.dispatch_send_text(session_id, SendText(text="y", answer=True))
    assert (await party.claim_one()).id == answer.command.id
    pending = await party.operator.commands.pending_commands([session_id])
    assert [each.id for each in pending] == [waiting.command.id]


async def test_a_question_of_the_program_ends_the_wait_for_its_prompt_and_not_for_the_answer(party: Party) -> None:
    session_id = await party.new_session()
    sent = asyncio.create_task(party.dispatcher.dispatch_send_prompt(session_id, "echo it's", timeout=20.0))
    await party.accept(await party.claim_when_there())
    asks = SessionReport(status=SessionStatus.WAITING_INPUT, status_source="test", reason="continuation")
    await party.host.sessions.set_session(party.instance, session_id, asks)
    outcome = await sent
    assert outcome.kind is OutcomeKind.WAITING_INPUT
    assert outcome.result is None
    assert outcome.session is not None
    assert outcome.session.reason == "continuation"

    answered = asyncio.create_task(
        party.dispatcher.dispatch_send_text(session_id, SendText(text="'", answer=True), timeout=20.0)
    )
    answer = await party.claim_when_there()
    assert not answered.done()
    await party.host.commands.complete_command(answer.id, token_of(answer), result={})
    assert (await answered).kind is OutcomeKind.FINISHED


async def test_a_command_that_does_not_begin_in_time_fails_though_no_host_is_there(party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.operator.commands.create_command(party.prompt(session_id, "late", start_by_ms=1))
    # Its 1 ms is over before the request to end it arrives, or before the next.
    assert any([await party.operator.commands.expire_commands() for _ in range(3)])
    result = await party.operator.commands.wait_for_result(sent.id, 5.0)
    assert (result.success, result.error) == (False, ErrorCode.TIMEOUT)


async def test_r4_a_result_that_came_before_the_wait_is_found(party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.dispatcher.dispatch_send_prompt(session_id, "quick")
    await party.complete(await party.claim_one(), "done")
    result = await party.operator.commands.wait_for_result(sent.command.id, None)
    assert result.result == {"output": "done"}


async def test_the_end_of_a_wait_changes_nothing(party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.dispatcher.dispatch_send_prompt(session_id, "slow")
    before = await party.operator.commands.get_outcome(sent.command.id)
    with pytest.raises(WaitEnded):
        await party.operator.commands.wait_for_result(sent.command.id, 0.2)
    assert await party.operator.commands.get_outcome(sent.command.id) == before
    outcome = await party.dispatcher.wait_for_outcome(sent.command.id, 0.2)
    assert outcome.kind is OutcomeKind.STILL_WAITING


async def test_a_command_that_does_not_exist_is_none_and_can_not_be_waited_for(party: Party) -> None:
    assert await party.operator.commands.get_command(uuid4()) is None
    assert await party.operator.commands.get_command_result(uuid4()) is None
    with pytest.raises(CommandNotFound):
        await party.operator.commands.wait_for_result(uuid4(), 1.0)


async def test_strangers_see_nothing_and_can_send_nothing(office_hub: RunningHub, party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.dispatcher.dispatch_send_prompt(session_id, "private")
    async with signed_in(Identity(office_hub)) as stranger:
        assert await stranger.commands.get_command(sent.command.id) is None
        assert await stranger.sessions.get_session(session_id) is None
        assert await stranger.offices.get_office(party.office_id) is None
        with pytest.raises(CommandNotFound):
            await stranger.commands.get_outcome(sent.command.id)
        with pytest.raises(CommandError) as caught:
            await stranger.commands.create_command(party.prompt(session_id, "x"))
        assert code_of(caught) is ErrorCode.FORBIDDEN


async def test_an_operator_can_neither_claim_nor_complete(party: Party) -> None:
    session_id = await party.new_session()
    await party.dispatcher.dispatch_send_prompt(session_id, "x")
    with pytest.raises(CommandError) as caught:
        await party.operator.commands.claim_commands(party.instance)
    assert code_of(caught) is ErrorCode.FORBIDDEN
    command = await party.claim_one()
    with pytest.raises(CommandError) as caught:
        await party.operator.commands.complete_command(command.id, token_of(command), result={})
    assert code_of(caught) is ErrorCode.FORBIDDEN


async def test_a_second_agent_process_supersedes_the_first(party: Party) -> None:
    await party.host.commands.renew_leases(uuid4(), take=True)
    with pytest.raises(CommandError) as caught:
        await party.host.commands.renew_leases(party.instance)
    assert code_of(caught) is ErrorCode.SUPERSEDED
    with pytest.raises(CommandError) as caught:
        await party.host.commands.claim_commands(party.instance)
    assert code_of(caught) is ErrorCode.SUPERSEDED


async def test_what_an_earlier_process_had_only_claimed_is_given_back(party: Party) -> None:
    session_id = await party.new_session()
    await party.dispatcher.dispatch_send_prompt(session_id, "again")
    first = await party.claim_one()
    party.instance = uuid4()
    await party.host.commands.renew_leases(party.instance, take=True)
    assert [each.id for each in await party.host.commands.processing_commands(party.host_id)] == [first.id]
    assert await party.host.commands.expire_commands() == 1
    second = await party.claim_one()
    assert (second.id, second.attempt) == (first.id, 2)
    with pytest.raises(CommandError):
        await party.host.commands.complete_command(first.id, token_of(first), result={})


async def test_the_end_of_a_session_ends_what_waits_for_it(party: Party) -> None:
    session_id = await party.new_session()
    await party.dispatcher.dispatch_send_prompt(session_id, "exit 3")
    running = await party.claim_one()
    await party.accept(running)
    waiting = await party.dispatcher.dispatch_send_prompt(session_id, "never")
    await party.host.sessions.remove_session(
        party.instance, session_id, source="exit", report=SessionReport(exit_status=3)
    )
    result = await party.operator.commands.wait_for_result(waiting.command.id, 5.0)
    assert result.error is ErrorCode.SESSION_EXITED
    ended = await party.operator.sessions.get_session(session_id)
    assert ended is not None
    assert (ended.status, ended.exit_status) == (SessionStatus.TERMINATED, 3)
    assert await party.operator.sessions.get_sessions_by_office(party.office_id) == []
    with pytest.raises(CommandError) as caught:
        await party.dispatcher.dispatch_send_prompt(session_id, "after")
    assert code_of(caught) is ErrorCode.SESSION_EXITED


async def test_a_session_that_does_not_exist_is_named_so(party: Party) -> None:
    with pytest.raises(CommandError) as caught:
        await party.dispatcher.dispatch_send_prompt(uuid4(), "x")
    assert code_of(caught) is ErrorCode.SESSION_NOT_FOUND


async def test_a_payload_that_only_the_office_refuses_comes_back_with_its_sentence(party: Party) -> None:
    session_id = await party.new_session()
    empty = NewCommand.carrying(SendPrompt(prompt=" "), office_id=party.office_id, session_id=session_id)
    with pytest.raises(CommandError, match="empty") as caught:
        await party.operator.commands.create_command(empty)
    assert code_of(caught) is ErrorCode.INVALID_PAYLOAD


async def test_an_office_without_a_host_says_so(office_hub: RunningHub) -> None:
    async with signed_in(Identity(office_hub)) as side:
        office = await side.offices.create_office("empty", f"/repo/{uuid4()}")
        command = NewCommand.carrying(CreateSession(profile="shell"), office_id=office.id, session_id=uuid4())
        with pytest.raises(CommandError) as caught:
            await side.commands.create_command(command)
        assert code_of(caught) is ErrorCode.HOST_OFFLINE


async def test_the_largest_prompt_arrives_whole(party: Party) -> None:
    session_id = await party.new_session()
    text = "가🙂" * 37_449
    assert len(text.encode()) == 262_143
    await party.dispatcher.dispatch_send_prompt(session_id, text)
    assert (await party.claim_one()).payload == {"prompt": text}


async def test_a_waiter_of_many_is_settled_once_each(party: Party) -> None:
    session_id = await party.new_session()
    sent = await party.dispatcher.dispatch_send_prompt(session_id, "shared")
    waits = [asyncio.create_task(party.operator.commands.wait_for_result(sent.command.id, 20.0)) for _ in range(5)]
    await party.complete(await party.claim_one(), "one")
    assert len({result.id for result in await asyncio.gather(*waits)}) == 1
    rows = await party.operator.link.select("agent_command_results", filters=[eq("command_id", sent.command.id)])
    assert len(rows) == 1
