"""Jobs of agent CLIs through the real link: briefed, judged by their own last word, reviewed. The agent is the test."""

import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from pydantic import JsonValue

from semo_office.agents import AgentService
from semo_office.errors import CommandError, ErrorCode
from semo_office.jobs import NewJob
from semo_office.models import (
    AgentCommand,
    AttemptStatus,
    CommandType,
    HostProfile,
    Job,
    JobStatus,
    SessionReport,
    SessionStatus,
)
from semo_office.personas import PersonaText
from semo_office.verdict import RETRIES, Failure, Retry
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import READY, Identity, Party, signed_in, token_of
from tests.integration.office.test_jobs import Serving, eventually

CLI = "claude"


class CliServing(Serving):
    """An office with a CLI whose jobs the test does."""

    async def assign(self, title: str, *after: Job, **more: object) -> Job:
        fields = {"role": "BE", "description": f"Do {title}.", "profile": CLI, **more}
        new = NewJob.model_validate(
            {
                "office_id": self.party.office_id,
                "title": title,
                "depends_on": tuple(job.id for job in after),
                **fields,
            }
        )
        return await self.jobs.add_job(new)

    async def end(self, prompt: AgentCommand, last_message: str, **more: JsonValue) -> None:
        """The turn ends; `{done}` in the message is the line that the prompt asks for."""
        message = last_message.format(done=marker_of(prompt))
        await self.party.host.commands.complete_command(
            prompt.id,
            token_of(prompt),
            result={"output": f"> {text_of(prompt)}\n{message}", "last_message": message, "duration_ms": 5, **more},
            session=READY,
        )

    async def done(self, job: Job, last_message: str = "{done}") -> None:
        await self.end(await self.begin_turn(), last_message)
        await self.until(job, JobStatus.DONE)

    async def see(self, prompt: AgentCommand, status: SessionStatus, reason: str | None = None) -> None:
        report = SessionReport(status=status, status_source="test", reason=reason)
        await self.party.host.sessions.set_session(self.party.instance, prompt.session_id, report)


def text_of(prompt: AgentCommand) -> str:
    return str(prompt.payload["prompt"])


def marker_of(prompt: AgentCommand) -> str:
    [marker] = re.findall(r"SEMO-DONE-[0-9a-z]+", text_of(prompt))
    return str(marker)


@pytest.fixture
async def serving(party: Party, office_hub: RunningHub) -> AsyncIterator[CliServing]:
    async with signed_in(Identity(office_hub)) as server:
        await party.operator.offices.admit_server(party.office_id, UUID(str(server.identity.user_id)))
        cli = HostProfile(host_id=party.host_id, name=CLI, job_prompt="briefing", done_by="nonce")
        await party.host.offices.report_profiles(party.instance, [cli])
        yield CliServing(party, server)


async def test_a_cli_is_told_who_it_is_what_to_do_and_what_the_jobs_before_have_left(serving: CliServing) -> None:
    agents = AgentService(serving.party.operator.link)
    await agents.add_agent(
        serving.party.office_id,
        "BE",
        name="보",
        persona=PersonaText(name="Backend", prompt="You build 서비스.", scope=("src/api/**",)),
    )
    async with serving.controller():
        schema = await serving.assign("Schema")
        await serving.done(schema, "The tables are in sql/3.\n{done}")
        login = await serving.assign("Login", schema, turn_limit_ms=90_000)
        prompt = await serving.begin_turn()
        await serving.end(prompt, "로그인이 됩니다.\n\n{done}")
        await serving.until(login, JobStatus.DONE)
    for part in ("You are 보. You work as BE", "You build 서비스.", "- src/api/**", "Do Login.", "sql/3."):
        assert part in text_of(prompt)
    assert (prompt.payload["turn_limit_ms"], prompt.command_type) == (90_000, CommandType.SEND_PROMPT)
    [attempt] = await serving.jobs.get_attempts(login.id)
    assert attempt.evidence["last_message"] == "로그인이 됩니다."
    session = await serving.party.operator.sessions.get_session(prompt.session_id)
    assert session is not None
    assert (session.profile, session.agent_id) == (CLI, login.agent_id)


async def test_r21_a_role_that_nobody_described_gets_a_prompt_and_is_done(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("번역", role="번역가", any_role=True)
        prompt = await serving.begin_turn()
        assert text_of(prompt).startswith("You work as 번역가 in a team of agents")
        await serving.end(prompt, "{done}")
        await serving.until(job, JobStatus.DONE)


async def test_a_turn_that_does_not_say_it_is_done_waits_for_a_person_and_the_next_is_told_why(
    serving: CliServing,
) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        await serving.end(await serving.begin_turn(), "I need the API key to go on.")
        unclear = await serving.until(job, JobStatus.NEEDS_REVIEW)
        assert unclear.reason == "The turn ended and did not say that the job is done."
        await serving.jobs.review_job(job.id, "retry", "The key is in the safe.")
        second = await serving.begin_turn()
        for part in ("The try before this one", "I need the API key", "The key is in the safe."):
            assert part in text_of(second)
        await serving.end(second, "{done}")
        await serving.until(job, JobStatus.DONE)
    attempts = await serving.jobs.get_attempts(job.id)
    assert [attempt.status for attempt in attempts] == [AttemptStatus.NEEDS_REVIEW, AttemptStatus.DONE]


async def test_the_word_of_the_try_before_ends_nothing(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        first = await serving.begin_turn()
        await serving.end(first, "Not yet.")
        await serving.until(job, JobStatus.NEEDS_REVIEW)
        await serving.jobs.review_job(job.id, "retry")
        await serving.end(await serving.begin_turn(), marker_of(first))
        await serving.until(job, JobStatus.NEEDS_REVIEW)


async def test_a_question_leaves_the_job_at_work_and_its_member_asking_until_it_is_answered(
    serving: CliServing,
) -> None:
    agents = AgentService(serving.party.operator.link)
    await agents.add_agent(serving.party.office_id, "BE", name="Bo")

    async def does() -> str:
        [bo] = await agents.get_agents_by_office(serving.party.office_id)
        return bo.status

    async with serving.controller():
        job = await serving.assign("Login")
        prompt = await serving.begin_turn()
        await serving.see(prompt, SessionStatus.WAITING_INPUT, "Which database?")
        assert await does() == "blocked"
        assert (await serving.job(job)).status is JobStatus.PROCESSING
        await serving.see(prompt, SessionStatus.EXECUTING)
        assert await does() == "working"
        await serving.end(prompt, "{done}")
        await serving.until(job, JobStatus.DONE)
        assert await does() == "idle"


async def test_a_turn_that_the_cli_calls_failed_is_tried_again_after_a_pause(
    serving: CliServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RETRIES, Failure.RATE_LIMIT, Retry(1, 10))
    async with serving.controller():
        job = await serving.assign("Login")
        failure: JsonValue = {"kind": "rate_limit", "message": "resets at 3 pm"}
        await serving.end(await serving.begin_turn(), "", failure=failure)
        await serving.end(await serving.begin_turn(), "{done}")
        await serving.until(job, JobStatus.DONE)
    first, _ = await serving.jobs.get_attempts(job.id)
    assert (first.status, first.reason) == (
        AttemptStatus.FAILED,
        "The CLI's rate limit is used up: resets at 3 pm",
    )


async def test_a_turn_over_its_limit_is_tried_again_only_after_its_process_is_gone(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        prompt = await serving.begin_turn()
        await serving.fail(prompt, ErrorCode.TIMEOUT)
        ending = await serving.claim(CommandType.TERMINATE)
        assert ending.session_id == prompt.session_id
        assert len(await serving.jobs.get_attempts(job.id)) == 1
        await serving.see(prompt, SessionStatus.TERMINATED)
        await serving.party.host.commands.complete_command(ending.id, token_of(ending), result={})
        second = await serving.begin_turn()
        assert second.session_id != prompt.session_id
        await serving.fail(second, ErrorCode.TIMEOUT)
        ending = await serving.claim(CommandType.TERMINATE)
        await serving.see(second, SessionStatus.TERMINATED)
        await serving.party.host.commands.complete_command(ending.id, token_of(ending), result={})
        failed = await serving.until(job, JobStatus.FAILED)
    assert failed.error is ErrorCode.TIMEOUT


async def test_r19_a_turn_whose_process_can_not_be_ended_is_not_begun_beside_it(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        prompt = await serving.begin_turn()
        await serving.fail(prompt, ErrorCode.TIMEOUT)
        await serving.fail(await serving.claim(CommandType.TERMINATE), ErrorCode.TERMINAL_UNAVAILABLE)
        failed = await serving.until(job, JobStatus.FAILED)
    assert (failed.error, failed.reason) == (ErrorCode.TIMEOUT, "why Its session could not be ended.")
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_a_turn_that_does_not_stop_when_its_job_is_cancelled_ends_with_its_session(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        prompt = await serving.begin_turn()
        await serving.jobs.cancel_job(job.id)
        for _ in range(3):
            await serving.party.complete(await serving.claim(CommandType.CANCEL))
            await serving.see(prompt, SessionStatus.EXECUTING)
        ending = await serving.claim(CommandType.TERMINATE)
        await serving.fail(prompt, ErrorCode.SESSION_EXITED)
        await serving.see(prompt, SessionStatus.TERMINATED)
        await serving.party.host.commands.complete_command(ending.id, token_of(ending), result={})
        await serving.until(job, JobStatus.CANCELLED)


async def test_a_profile_that_no_host_has_is_refused_and_one_that_is_gone_later_says_so(serving: CliServing) -> None:
    with pytest.raises(CommandError, match=r"No host of this office has the profile clade; there are claude\."):
        await serving.assign("Login", profile="clade")
    job = await serving.assign("Login")
    await serving.party.host.offices.report_profiles(serving.party.instance, [])
    async with serving.controller():
        waiting = await eventually(lambda: serving.job(job), lambda found: found.error is not None)
        await serving.jobs.cancel_job(job.id)
    assert waiting.reason == "No host of this office has the profile claude. Add it there, and start its agent again."


async def test_the_next_leader_knows_the_word_that_the_one_before_has_told(serving: CliServing) -> None:
    async with serving.controller():
        job = await serving.assign("Login")
        prompt = await serving.begin_turn()
    async with serving.controller():
        await serving.end(prompt, "{done}")
        await serving.until(job, JobStatus.DONE)
    assert len(await serving.jobs.get_attempts(job.id)) == 1


async def test_more_than_can_be_added_at_once_is_refused_with_what_to_do(serving: CliServing) -> None:
    office_id = serving.party.office_id
    many = [NewJob(office_id=office_id, role="BE", title=str(number), description="가" * 80_000) for number in range(9)]
    with pytest.raises(CommandError, match="Add them in several parts"):
        await serving.jobs.add_jobs(office_id, many)
    assert len(await serving.jobs.add_jobs(office_id, many[:6])) == 6
