"""Jobs in the database: dependencies, attempts, and one leader. Each test has an office of its own."""

import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.sql.jobs import SqlJobs, SqlServer
from tests.integration.sql.office import Caller, SqlOffice


def refused(code: str) -> "pytest.RaisesExc[psycopg.Error]":
    return pytest.raises(psycopg.Error, match=f"^{code}\n")


# Adding


def test_a_job_without_dependencies_is_ready(jobs: SqlJobs) -> None:
    assert jobs.add()["status"] == "ready"


def test_the_same_id_with_the_same_content_returns_the_row(jobs: SqlJobs) -> None:
    job_id = uuid4()
    first = jobs.add(p_id=job_id)
    assert jobs.add(p_id=job_id)["version"] == first["version"]


def test_the_same_id_with_another_content_is_refused(jobs: SqlJobs) -> None:
    job = jobs.add("one")
    with refused("conflict"):
        jobs.add("two", p_id=job["id"])


def test_a_job_waits_until_every_dependency_is_done(jobs: SqlJobs) -> None:
    first, second = jobs.add(), jobs.add()
    third = jobs.add(depends_on=[first["id"], second["id"]])
    assert third["status"] == "pending"
    jobs.done(first)
    assert jobs.status(third) == "pending"
    jobs.done(second)
    assert jobs.status(third) == "ready"


def test_a_job_added_after_its_dependency_was_done_is_ready(jobs: SqlJobs) -> None:
    first = jobs.add()
    jobs.done(first)
    assert jobs.add(depends_on=[first["id"]])["status"] == "ready"


def test_a_dependency_that_is_not_there_is_refused(jobs: SqlJobs) -> None:
    with refused("invalid_payload"):
        jobs.add(depends_on=[uuid4()])


def test_a_job_of_another_office_is_no_dependency(jobs: SqlJobs, other_office: SqlOffice) -> None:
    others = SqlJobs(other_office)
    foreign = others.add()
    others.close()
    with refused("invalid_payload"):
        jobs.add(depends_on=[foreign["id"]])


def test_a_job_that_waits_for_itself_is_refused(jobs: SqlJobs) -> None:
    job_id = uuid4()
    with refused("invalid_payload"):
        jobs.add(p_id=job_id, depends_on=[job_id])


def test_a_circle_of_jobs_is_refused_whoever_writes_it(jobs: SqlJobs) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    third = jobs.add(depends_on=[second["id"]])
    with refused("invalid_payload"):
        jobs.office.superuser.execute(
            "update job_queue set depends_on = %s where id = %s", [[third["id"]], first["id"]]
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_description": " \n"},
        {"p_title": " "},
        {"p_role": ""},
        {"p_description": "가" * 87_382},
        {"p_title": "x" * 201},
    ],
    ids=["empty description", "empty title", "no role", "long description", "long title"],
)
def test_a_job_that_can_not_be_done_is_refused(jobs: SqlJobs, wrong: dict[str, str]) -> None:
    arguments: dict[str, object] = {"p_title": "job", "p_role": "BE", "p_description": "echo", **wrong}
    with refused("invalid_payload"):
        jobs.office.operator.call("create_job", p_id=uuid4(), p_office_id=jobs.office.id, **arguments)


def test_a_job_gets_the_office_agent_of_its_role_that_has_least_to_do(jobs: SqlJobs) -> None:
    agents = [uuid4(), uuid4()]
    for agent in agents:
        jobs.office.superuser.execute(
            "insert into office_agents (id, office_id, role, name) values (%s, %s, 'BE', 'dev')",
            [agent, jobs.office.id],
        )
    assert {jobs.add()["agent_id"], jobs.add()["agent_id"]} == set(agents)
    assert jobs.add(p_role="QA")["agent_id"] is None


# Attempts


def test_a_second_begin_finds_the_attempt_that_runs(jobs: SqlJobs) -> None:
    job = jobs.add()
    assert jobs.server.begin(job)["id"] == jobs.server.begin(job)["id"]


def test_a_job_that_waits_can_not_be_begun(jobs: SqlJobs) -> None:
    job = jobs.add(depends_on=[jobs.add()["id"]])
    with refused("conflict"):
        jobs.server.begin(job)


def test_a_finished_attempt_stays_as_it_is(jobs: SqlJobs) -> None:
    attempt = jobs.server.begin(jobs.add())
    assert jobs.server.finish(attempt)["status"] == "done"
    assert jobs.server.finish(attempt, "failed")["status"] == "done"


def test_what_waits_for_a_failed_job_is_cancelled_and_a_retry_by_hand_brings_it_back(jobs: SqlJobs) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    failed = jobs.server.finish(jobs.server.begin(first), "failed", p_reason="exit 3", p_evidence={"exit_status": 3})
    assert (failed["status"], failed["reason"], jobs.status(second)) == ("failed", "exit 3", "cancelled")
    assert jobs.operate("retry_job", first)["status"] == "ready"
    assert jobs.status(second) == "pending"
    again = jobs.server.begin(first)
    assert (again["attempt"], again["round"]) == (2, 2)
    jobs.server.finish(again)
    assert jobs.status(second) == "ready"


def test_an_attempt_that_is_tried_again_leaves_the_job_ready_after_its_pause(jobs: SqlJobs) -> None:
    job = jobs.add()
    after = jobs.server.finish(jobs.server.begin(job), "failed", p_error="launch_failed", p_retry_in_ms=60_000)
    assert after["status"] == "ready"
    [open_job] = jobs.server.call("open_jobs")
    assert 50_000 < open_job["due_in_ms"] <= 60_000


def test_open_jobs_come_with_the_lower_number_first(jobs: SqlJobs) -> None:
    for title, priority in (("late", 200), ("soon", 1), ("usual", 100)):
        jobs.add(title, p_priority=priority)
    with jobs.server.caller.connection.transaction():
        jobs.server.caller.become()
        rows = jobs.server.caller.connection.execute(
            "select (job).title from open_jobs(%s, %s)", [jobs.office.id, jobs.server.epoch]
        ).fetchall()
    assert [row["title"] for row in rows] == ["soon", "usual", "late"]


def test_only_a_job_that_failed_or_was_cancelled_is_retried(jobs: SqlJobs) -> None:
    with refused("conflict"):
        jobs.operate("retry_job", jobs.add())


def test_a_waiting_job_is_cancelled_at_once_and_can_come_back(jobs: SqlJobs) -> None:
    job = jobs.add()
    assert jobs.operate("cancel_job", job)["status"] == "cancelled"
    assert jobs.operate("cancel_job", job)["status"] == "cancelled"
    assert jobs.operate("retry_job", job)["status"] == "ready"


def test_a_job_that_is_done_can_not_be_cancelled(jobs: SqlJobs) -> None:
    job = jobs.add()
    jobs.done(job)
    with refused("conflict"):
        jobs.operate("cancel_job", job)


def test_no_state_is_written_past_the_rules(jobs: SqlJobs) -> None:
    job = jobs.add()
    jobs.done(job)
    with refused("conflict"):
        jobs.office.superuser.execute(
            "update job_queue set status = 'ready', completed_at = null where id = %s", [job["id"]]
        )


# Sessions and prompts


def test_an_idle_session_of_the_role_is_taken_and_two_jobs_never_share_it(jobs: SqlJobs) -> None:
    jobs.new_session("QA")
    session, fresh = jobs.new_session("BE"), uuid4()
    one, two = jobs.server.begin(jobs.add()), jobs.server.begin(jobs.add())
    assert jobs.server.acquire(one) == session
    assert jobs.server.acquire(two, fresh) == fresh
    with pytest.raises(psycopg.errors.UniqueViolation):
        jobs.office.superuser.execute("update job_attempts set session_id = %s where id = %s", [session, two["id"]])


def test_a_session_in_which_a_prompt_waits_is_not_idle(jobs: SqlJobs) -> None:
    jobs.office.prompt(jobs.new_session())
    fresh = uuid4()
    assert jobs.server.acquire(jobs.server.begin(jobs.add()), fresh) == fresh


def test_a_session_that_failed_a_job_is_not_taken_for_it_again_in_the_same_round(jobs: SqlJobs) -> None:
    session, fresh, job = jobs.new_session(), uuid4(), jobs.add()
    attempt = jobs.server.begin(job)
    assert jobs.server.acquire(attempt) == session
    jobs.server.finish(attempt, "failed", p_error="draft_present", p_retry_in_ms=0)
    assert jobs.server.acquire(jobs.server.begin(job), fresh) == fresh


def test_a_reserved_session_that_could_not_be_made_gives_way_to_one_that_became_idle(jobs: SqlJobs) -> None:
    attempt, fresh = jobs.server.begin(jobs.add()), uuid4()
    assert jobs.server.acquire(attempt, fresh) == fresh
    session = jobs.new_session()
    assert jobs.server.acquire(attempt, fresh) == session


def test_an_attempt_has_one_prompt_and_finds_it_again(jobs: SqlJobs) -> None:
    jobs.new_session()
    attempt, command_id = jobs.server.begin(jobs.add()), uuid4()
    session = jobs.server.acquire(attempt)
    sent = jobs.server.command(attempt, session, "send_prompt", p_id=command_id)
    assert jobs.server.command(attempt, session, "send_prompt", p_id=command_id)["sequence"] == sent["sequence"]
    assert sent["created_by"] == jobs.office.operator.user
    with refused("conflict"):
        jobs.server.command(attempt, session, "send_prompt")


def test_a_job_types_into_no_other_session_and_does_nothing_else_there(jobs: SqlJobs) -> None:
    session, other = jobs.new_session(), jobs.new_session("QA")
    attempt = jobs.server.begin(jobs.add())
    assert jobs.server.acquire(attempt) == session
    with refused("conflict"):
        jobs.server.command(attempt, other, "send_prompt")
    with refused("forbidden"):
        jobs.server.command(attempt, session, "terminate", p_payload={})


def test_a_cancel_takes_back_the_prompt_that_nobody_has_claimed(jobs: SqlJobs) -> None:
    jobs.new_session()
    job = jobs.add()
    attempt = jobs.server.begin(job)
    prompt = jobs.server.command(attempt, jobs.server.acquire(attempt), "send_prompt")
    assert jobs.operate("cancel_job", job)["cancel_requested_at"] is not None
    assert jobs.office.command(prompt["id"])["error"] == "cancelled"
    assert jobs.server.finish(attempt, "cancelled", p_error="cancelled")["status"] == "cancelled"


def test_no_prompt_is_sent_after_a_cancel(jobs: SqlJobs) -> None:
    jobs.new_session()
    job = jobs.add()
    attempt = jobs.server.begin(job)
    session = jobs.server.acquire(attempt)
    jobs.operate("cancel_job", job)
    with refused("cancelled"):
        jobs.server.command(attempt, session, "send_prompt")


def test_a_job_is_not_tried_again_after_a_cancel(jobs: SqlJobs) -> None:
    job = jobs.add()
    attempt = jobs.server.begin(job)
    jobs.operate("cancel_job", job)
    after = jobs.server.finish(attempt, "failed", p_error="session_exited", p_retry_in_ms=0)
    assert after["status"] == "cancelled"


def test_the_server_ends_what_is_overdue_in_its_office(jobs: SqlJobs) -> None:
    attempt, fresh = jobs.server.begin(jobs.add()), uuid4()
    jobs.server.acquire(attempt, fresh)
    create = jobs.server.command(
        attempt, fresh, "create_session", p_payload={"profile": "shell", "role": "BE"}, p_start_by_ms=0
    )
    jobs.server.caller.call("expire_commands")
    assert jobs.office.command(create["id"])["status"] == "failed"


# One leader


def test_a_second_server_waits_while_the_first_renews(jobs: SqlJobs) -> None:
    second = jobs.new_server()
    lease = second.take()
    assert (lease["instance_id"], lease["epoch"]) == (str(jobs.server.instance), jobs.server.epoch)
    assert 0 < lease["remaining_ms"] <= 10_000
    assert jobs.server.take()["epoch"] == lease["epoch"]


def test_a_leader_that_leaves_makes_room_at_once(jobs: SqlJobs) -> None:
    second = jobs.new_server()
    jobs.server.call("leave_office")
    assert second.take()["instance_id"] == str(second.instance)
    assert second.epoch == jobs.server.epoch + 1


def test_of_two_that_race_for_a_lease_that_ran_out_one_leads(jobs: SqlJobs) -> None:
    jobs.let_lease_run_out()
    racers = [jobs.new_server() for _ in range(4)]
    together(*[racer.take for racer in racers])
    leaders = [racer for racer in racers if racer.epoch == jobs.server.epoch + 1]
    assert len(leaders) == 1


LED: dict[str, Callable[[SqlServer, UUID, UUID], object]] = {
    "open_jobs": lambda server, job, attempt: server.call("open_jobs"),
    "begin_attempt": lambda server, job, attempt: server.call("begin_attempt", p_job_id=job),
    "acquire_session": lambda server, job, attempt: server.call(
        "acquire_session", p_attempt_id=attempt, p_profile="shell", p_new_session_id=uuid4()
    ),
    "create_job_command": lambda server, job, attempt: server.call(
        "create_job_command", p_attempt_id=attempt, p_id=uuid4(), p_command_type="send_prompt",
        p_payload={"prompt": "echo"}, p_session_id=uuid4(),
    ),
    "finish_attempt": lambda server, job, attempt: server.call("finish_attempt", p_attempt_id=attempt, p_status="done"),
    "leave_office": lambda server, job, attempt: server.call("leave_office"),
}  # fmt: skip


@pytest.mark.parametrize("function", LED)
def test_a_deposed_leader_is_refused(jobs: SqlJobs, function: str) -> None:
    job = jobs.add()
    attempt = jobs.server.begin(job)
    jobs.let_lease_run_out()
    jobs.new_server().take()
    with refused("superseded"):
        LED[function](jobs.server, job["id"], attempt["id"])
    assert jobs.status(job) == "processing"


@pytest.mark.parametrize("function", LED)
def test_an_operator_does_not_lead(jobs: SqlJobs, function: str) -> None:
    job = jobs.add()
    attempt = jobs.server.begin(job)
    pretender = SqlServer(jobs.office, jobs.office.operator)
    pretender.epoch = jobs.server.epoch
    with refused("forbidden"):
        LED[function](pretender, job["id"], attempt["id"])


def test_the_next_leader_goes_on_with_the_attempt_that_runs(jobs: SqlJobs) -> None:
    job = jobs.add()
    attempt = jobs.server.begin(job)
    jobs.let_lease_run_out()
    second = jobs.new_server()
    second.take()
    assert second.begin(job)["id"] == attempt["id"]
    assert second.finish(attempt)["status"] == "done"


def test_a_server_sends_nothing_by_itself(jobs: SqlJobs) -> None:
    session = jobs.new_session()
    with refused("forbidden"):
        jobs.server.caller.call(
            "create_command", p_id=uuid4(), p_office_id=jobs.office.id, p_command_type="send_prompt",
            p_payload={"prompt": "echo"}, p_session_id=session,
        )  # fmt: skip


def test_a_person_is_no_server(jobs: SqlJobs) -> None:
    with refused("conflict"):
        jobs.office.operator.call("admit_server", p_office_id=jobs.office.id, p_user_id=jobs.office.operator.user)


def test_a_host_that_runs_its_owners_commands_only_refuses_the_job_of_another(jobs: SqlJobs) -> None:
    colleague = Caller(jobs.office.conninfo, uuid4())
    jobs.callers.append(colleague)
    jobs.office.superuser.execute(
        "insert into office_members (office_id, user_id, role) values (%s, %s, 'operator')",
        [jobs.office.id, colleague.user],
    )
    [job] = colleague.call(
        "create_job", p_id=uuid4(), p_office_id=jobs.office.id, p_role="BE", p_title="job", p_description="echo"
    )
    jobs.new_session()
    attempt, fresh = jobs.server.begin(job), uuid4()
    assert jobs.server.acquire(attempt, fresh) == fresh
    with refused("forbidden"):
        jobs.server.command(attempt, fresh, "create_session", p_payload={"profile": "shell", "role": "BE"})
    jobs.office.superuser.execute("update agent_hosts set runs_for = 'jobs' where id = %s", [jobs.office.host])
    jobs.server.command(attempt, fresh, "create_session", p_payload={"profile": "shell", "role": "BE"})


# Races


def together(*works: Callable[[], object]) -> None:
    """Run all at the same moment, each in a thread; the first failure is raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait(20)
        try:
            work()
        except BaseException as err:  # noqa: BLE001  # raised below, in the test's own thread
            failures.append(err)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    if failures:
        raise failures[0]


def test_two_dependencies_done_at_the_same_moment_make_the_third_ready(jobs: SqlJobs) -> None:
    same_term = jobs.new_server()
    same_term.epoch = jobs.server.epoch
    for _ in range(20):
        first, second = jobs.add(), jobs.add()
        third = jobs.add(depends_on=[first["id"], second["id"]])
        one, two = jobs.server.begin(first), jobs.server.begin(second)
        together(partial(jobs.server.finish, one), partial(same_term.finish, two))
        assert jobs.status(third) == "ready"


def test_a_job_added_while_its_dependency_is_being_done_becomes_ready(jobs: SqlJobs) -> None:
    for _ in range(20):
        first = jobs.add()
        attempt, job_id = jobs.server.begin(first), uuid4()
        together(partial(jobs.server.finish, attempt), partial(jobs.add, p_id=job_id, depends_on=[first["id"]]))
        assert jobs.status({"id": job_id}) == "ready"


def test_attempts_that_look_for_a_session_at_the_same_moment_never_take_the_same(jobs: SqlJobs) -> None:
    same_term = jobs.new_server()
    same_term.epoch = jobs.server.epoch
    jobs.new_session()
    for _ in range(20):
        one, two = jobs.server.begin(jobs.add()), jobs.server.begin(jobs.add())
        # The less urgent of them may be told to wait.
        together(partial(jobs.server.acquire, one), partial(same_term.ask_for_session, two))
        assert jobs.server.acquire(one) != jobs.server.acquire(two)
        jobs.server.finish(one)
        jobs.server.finish(two)
