"""Jobs that wait for one another, reviews, the team and archived offices in the database."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.integration.sql.jobs import SqlJobs
from tests.integration.sql.office import SqlOffice
from tests.integration.sql.test_jobs import refused, together


class SqlTeam(SqlJobs):
    """An office whose jobs, members and reviews the test looks at."""

    def add_all(self, *jobs: dict[str, Any]) -> list[DictRow]:
        return self.office.operator.call("create_jobs", p_office_id=self.office.id, p_jobs=list(jobs))

    def row(self, job: DictRow) -> DictRow:
        [row] = self.office.superuser.execute("select * from job_queue where id = %s", [job["id"]]).fetchall()
        return row

    def statuses(self, *jobs: DictRow) -> list[str]:
        return [self.status(job) for job in jobs]

    def fail(self, job: DictRow) -> None:
        self.server.finish(self.server.begin(job), "failed", p_reason="exit 1")

    def count(self) -> int:
        rows = self.office.superuser.execute("select 1 from job_queue where office_id = %s", [self.office.id])
        return len(rows.fetchall())

    def unclear(self, job: DictRow) -> DictRow:
        return self.server.finish(self.server.begin(job), "needs_review", p_reason="unclear")

    def review(self, job: DictRow, verdict: str, note: str | None = None) -> DictRow:
        [row] = self.office.operator.call("review_job", p_id=job["id"], p_verdict=verdict, p_note=note)
        return row

    def hire(self, role: str = "BE", **more: object) -> DictRow:
        [row] = self.office.operator.call("add_agent", p_id=uuid4(), p_office_id=self.office.id, p_role=role, **more)
        return row

    def member(self, member: DictRow) -> DictRow:
        [row] = self.office.superuser.execute("select * from office_agents where id = %s", [member["id"]]).fetchall()
        return row


@pytest.fixture
def jobs(office: SqlOffice) -> Iterator[SqlTeam]:
    jobs = SqlTeam(office)
    yield jobs
    jobs.close()


def planned(title: str, *after: UUID, **more: object) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "role": "BE",
        "title": title,
        "description": f"echo {title}",
        "depends_on": [str(each) for each in after],
        **more,
    }


def id_of(job: dict[str, Any]) -> UUID:
    return UUID(job["id"])


# Many at once


def test_jobs_of_one_request_may_wait_for_one_another_in_any_order(jobs: SqlTeam) -> None:
    build = planned("build")
    tests = planned("tests", id_of(build))
    first, second = jobs.add_all(tests, build)
    assert (first["status"], second["status"]) == ("pending", "ready")
    assert first["created_at"] < second["created_at"]
    again = jobs.add_all(tests, build)
    assert [job["version"] for job in again] == [first["version"], second["version"]]


def test_a_circle_is_refused_with_the_names_of_its_members_and_nothing_is_added(jobs: SqlTeam) -> None:
    build, tests, release = planned("build"), planned("tests"), planned("release")
    build["depends_on"] = [release["id"]]
    tests["depends_on"] = [build["id"]]
    release["depends_on"] = [tests["id"]]
    outside = planned("docs", id_of(release))
    with pytest.raises(psycopg.Error) as caught:
        jobs.add_all(outside, build, tests, release)
    said = str(caught.value.diag.message_detail)
    assert said.startswith("These jobs would wait for one another for ever: ")
    assert all(name in said for name in ("build", "tests", "release"))
    assert "docs" not in said
    assert jobs.count() == 0


def test_a_job_that_waits_for_itself_is_called_by_its_name(jobs: SqlTeam) -> None:
    lonely = planned("lonely")
    lonely["depends_on"] = [lonely["id"]]
    with pytest.raises(psycopg.Error) as caught:
        jobs.add_all(lonely)
    assert caught.value.diag.message_detail == "A job can't wait for itself: lonely after lonely."


def test_one_wrong_job_of_many_is_named_and_none_is_added(jobs: SqlTeam) -> None:
    with pytest.raises(psycopg.Error) as caught:
        jobs.add_all(planned("build"), planned("tests", description=" "))
    assert caught.value.diag.message_detail == "Job 2 (tests): The description is empty."
    assert jobs.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn_limit_ms": -5},
        {"turn_limit_ms": 604_800_001},
        {"priority": 10**9},
        {"profile": ""},
        {"role": "Bakcend"},
        {"title": "two\nlines"},
        {"role": "\x1b[31mBE", "any_role": True},
        {"agent_id": str(UUID(int=1))},
    ],
    ids=str,
)
def test_what_can_not_be_done_is_refused(jobs: SqlTeam, wrong: dict[str, object]) -> None:
    with refused("invalid_payload"):
        jobs.add_all({**planned("job"), **wrong})


def test_an_unknown_role_is_refused_with_those_that_there_are_unless_it_is_meant(jobs: SqlTeam) -> None:
    with pytest.raises(psycopg.Error) as caught:
        jobs.add(p_role="Bakcend")
    said = str(caught.value.diag.message_detail)
    assert said.startswith("Nobody here has the role Bakcend; there are Architect, BE, DevOps, FE, ")
    assert jobs.add(p_role="번역가", p_any_role=True)["role"] == "번역가"
    jobs.hire("Writer")
    assert jobs.add(p_role="Writer")["role"] == "Writer"


def test_a_job_added_after_one_that_failed_ends_as_if_it_had_been_there_before(jobs: SqlTeam) -> None:
    first = jobs.add("Build")
    second = jobs.add("Tests", depends_on=[first["id"]])
    jobs.fail(first)
    late = planned("late", second["id"])
    later = planned("later", id_of(late))
    added = jobs.add_all(later, late)
    assert [(job["status"], job["cancelled_for"]) for job in added] == [("cancelled", first["id"])] * 2
    assert added[0]["reason"] == f"Cancelled, because Build ({str(first['id'])[:8]}) failed."
    jobs.operate("retry_job", first)
    assert jobs.statuses(second, *added) == ["pending"] * 3


# What becomes of those that wait


def test_everything_that_waits_for_a_job_that_failed_is_cancelled_and_names_it(jobs: SqlTeam) -> None:
    first = jobs.add("Build")
    second = jobs.add(depends_on=[first["id"]])
    third = jobs.add(depends_on=[second["id"]])
    other = jobs.add()
    jobs.fail(first)
    assert jobs.statuses(second, third, other) == ["cancelled", "cancelled", "ready"]
    row = jobs.row(third)
    assert (row["cancelled_for"], row["error"]) == (first["id"], "cancelled")
    assert row["reason"] == f"Cancelled, because Build ({str(first['id'])[:8]}) failed."


def test_a_retry_of_the_failed_one_brings_all_of_them_back_and_they_run(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    third = jobs.add(depends_on=[second["id"]])
    jobs.fail(first)
    jobs.operate("retry_job", first)
    assert jobs.statuses(first, second, third) == ["ready", "pending", "pending"]
    assert (jobs.row(third)["reason"], jobs.row(third)["cancelled_for"]) == (None, None)
    for job in (first, second, third):
        jobs.done(job)
    assert jobs.statuses(first, second, third) == ["done"] * 3


def test_what_a_second_failure_holds_back_as_well_names_that_one(jobs: SqlTeam) -> None:
    one, two = jobs.add("One"), jobs.add("Two")
    both = jobs.add(depends_on=[one["id"], two["id"]])
    last = jobs.add(depends_on=[both["id"]])
    jobs.fail(one)
    jobs.fail(two)
    jobs.operate("retry_job", one)
    assert jobs.statuses(both, last) == ["cancelled", "cancelled"]
    assert {jobs.row(both)["cancelled_for"], jobs.row(last)["cancelled_for"]} == {two["id"]}
    assert "Two" in jobs.row(last)["reason"]
    jobs.operate("retry_job", two)
    assert jobs.statuses(both, last) == ["pending", "pending"]


def test_a_job_that_was_cancelled_by_hand_is_not_brought_back_by_another(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    third = jobs.add(depends_on=[second["id"]])
    jobs.operate("cancel_job", second)
    jobs.fail(first)
    jobs.operate("retry_job", first)
    assert jobs.statuses(second, third) == ["cancelled", "cancelled"]


def test_a_cancelled_job_takes_those_that_wait_for_it_along(jobs: SqlTeam) -> None:
    first = jobs.add("Build")
    second = jobs.add(depends_on=[first["id"]])
    jobs.operate("cancel_job", first)
    assert jobs.row(second)["reason"] == f"Cancelled, because Build ({str(first['id'])[:8]}) was cancelled."


def test_a_job_whose_dependency_failed_is_not_retried_before_it(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    jobs.fail(first)
    with refused("conflict"):
        jobs.operate("retry_job", second)


def test_a_failure_that_is_tried_again_by_itself_cancels_nothing(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    jobs.server.finish(jobs.server.begin(first), "failed", p_error="launch_failed", p_retry_in_ms=0)
    assert jobs.statuses(first, second) == ["ready", "pending"]


def test_a_job_added_while_its_dependency_fails_never_waits_for_ever(jobs: SqlTeam) -> None:
    for _ in range(10):
        first = jobs.add()
        attempt, job_id = jobs.server.begin(first), uuid4()

        together(
            partial(jobs.server.finish, attempt, "failed"), partial(jobs.add, p_id=job_id, depends_on=[first["id"]])
        )
        assert jobs.status({"id": job_id}) == "cancelled"


def test_retries_cancels_and_ends_at_the_same_moment_lock_nobody_out(jobs: SqlTeam) -> None:
    """A chain that many change from both ends: every call ends, and no job waits for what will not come."""
    chain = [jobs.add()]
    for _ in range(4):
        chain.append(jobs.add(depends_on=[chain[-1]["id"]]))
    office = SqlOffice.join(jobs.office)
    failures: list[str] = []

    def operate(caller: Any, function: str) -> None:
        for job in (*chain, *reversed(chain)):
            try:
                caller.call(function, p_id=job["id"])
            except psycopg.Error as err:
                failures.append(str(err).split("\n", 1)[0])

    threads = [
        threading.Thread(target=operate, args=[office.operator, "cancel_job"]),
        threading.Thread(target=operate, args=[jobs.office.operator, "retry_job"]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    office.close()
    assert set(failures) <= {"conflict"}
    stuck = jobs.office.superuser.execute(
        "select 1 from job_queue j join job_queue u on u.id = any (j.depends_on)"
        " where j.office_id = %s and j.status = 'pending' and u.status in ('failed', 'cancelled')",
        [jobs.office.id],
    ).fetchall()
    assert stuck == []


# A person decides


def test_a_turn_without_the_word_waits_for_a_person_and_so_does_what_comes_after(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    assert jobs.unclear(first)["status"] == "needs_review"
    assert jobs.statuses(second) == ["pending"]
    done = jobs.review(first, "done", " looks good ")
    assert (done["status"], done["reason"], done["reviewed_by"]) == ("done", "looks good", jobs.office.operator.user)
    assert jobs.statuses(second) == ["ready"]


def test_a_job_judged_failed_cancels_what_waits_for_it(jobs: SqlTeam) -> None:
    first = jobs.add()
    second = jobs.add(depends_on=[first["id"]])
    jobs.unclear(first)
    assert jobs.review(first, "failed")["reason"] == "Judged failed by a person."
    assert jobs.statuses(second) == ["cancelled"]


def test_a_job_judged_unfinished_is_tried_again_in_a_new_round_with_the_note(jobs: SqlTeam) -> None:
    job = jobs.add()
    jobs.unclear(job)
    again = jobs.review(job, "retry", "테스트가 없습니다.")
    assert (again["status"], again["round"], again["review_note"]) == ("ready", 2, "테스트가 없습니다.")


def test_only_a_job_that_waits_for_it_is_reviewed(jobs: SqlTeam) -> None:
    job = jobs.add()
    with refused("conflict"):
        jobs.review(job, "done")
    jobs.unclear(job)
    with refused("invalid_payload"):
        jobs.review(job, "perhaps")
    with refused("invalid_payload"):
        jobs.review(job, "done", "x" * 4_001)


def test_a_job_to_be_cancelled_is_cancelled_even_where_its_end_is_unclear(jobs: SqlTeam) -> None:
    job = jobs.add()
    attempt = jobs.server.begin(job)
    jobs.operate("cancel_job", job)
    assert jobs.server.finish(attempt, "needs_review")["status"] == "cancelled"


# The nonce


def test_every_attempt_has_a_word_of_its_own_which_stays(jobs: SqlTeam) -> None:
    def nonce(attempt: DictRow) -> str:
        [row] = jobs.server.call("attempt_nonce", p_attempt_id=attempt["id"])
        return str(row["attempt_nonce"])

    job = jobs.add()
    first = jobs.server.begin(job)
    word = nonce(first)
    assert len(word) == 16
    assert set(word) <= set("0123456789abcdef")
    assert nonce(first) == word
    jobs.server.finish(first, "failed", p_error="session_exited", p_retry_in_ms=0)
    assert nonce(jobs.server.begin(job)) != word


def test_an_attempt_ends_its_own_session_and_only_after_its_prompt(jobs: SqlTeam) -> None:
    attempt = jobs.server.begin(jobs.add())
    with refused("conflict"):
        jobs.server.call("end_attempt_session", p_attempt_id=attempt["id"], p_id=uuid4())
    fresh = uuid4()
    jobs.server.acquire(attempt, fresh)
    jobs.server.command(attempt, fresh, "create_session", p_payload={"profile": "shell", "role": "BE"})
    jobs.server.command(attempt, fresh, "send_prompt")
    [ending] = jobs.server.call("end_attempt_session", p_attempt_id=attempt["id"], p_id=uuid4())
    assert (ending["command_type"], ending["session_id"]) == ("terminate", fresh)


# The team


def test_a_member_is_blocked_while_the_session_of_its_job_asks(jobs: SqlTeam) -> None:
    bo = jobs.hire("BE", p_name="Bo")
    job = jobs.add("Login")
    attempt, fresh = jobs.server.begin(job), uuid4()
    jobs.server.acquire(attempt, fresh)
    jobs.server.command(attempt, fresh, "create_session", p_payload={"profile": "shell", "role": "BE"})
    seen = [jobs.member(bo)]
    for status in ("ready", "executing", "waiting_input", "executing", "waiting_input"):
        jobs.office.agent.call(
            "report_session", p_instance=jobs.office.instance, p_session_id=fresh,
            p_session={"status": status, "status_source": "test", "reason": "Which database?"},
        )  # fmt: skip
        seen.append(jobs.member(bo))
    assert [each["status"] for each in seen] == ["working", "working", "working", "blocked", "working", "blocked"]
    assert {each["current_task"] for each in seen} == {"Login"}
    jobs.server.command(attempt, fresh, "send_prompt")
    assert jobs.office.session(fresh)["agent_id"] == bo["id"]
    jobs.server.finish(attempt)
    assert (jobs.member(bo)["status"], jobs.member(bo)["current_task"]) == ("idle", None)


def test_a_job_goes_to_the_member_that_is_named_and_has_its_role_and_cli(jobs: SqlTeam) -> None:
    jobs.hire("BE")
    bo = jobs.hire("BE", p_name="Bo", p_profile="claude")
    job = jobs.add(p_role=None, p_agent_id=bo["id"])
    assert (job["agent_id"], job["role"], job["profile"]) == (bo["id"], "BE", "claude")
    assert jobs.add(p_agent_id=bo["id"], p_profile="shell")["profile"] == "shell"
    with pytest.raises(psycopg.Error, match="Bo works as BE, not as FE"):
        jobs.add(p_role="FE", p_agent_id=bo["id"])


def test_members_are_called_by_role_and_number_and_no_two_by_one_name(jobs: SqlTeam) -> None:
    assert [jobs.hire("BE")["name"], jobs.hire("BE")["name"], jobs.hire("QA")["name"]] == ["BE-1", "BE-2", "QA-1"]
    with refused("conflict"):
        jobs.hire("FE", p_name="BE-1")
    for wrong in ({"role": "B\nE"}, {"p_name": "\x1b[31mBo"}):
        with refused("invalid_payload"):
            jobs.hire(**wrong)


def test_r20_a_member_with_history_can_be_removed_and_its_jobs_go_to_others(jobs: SqlTeam) -> None:
    bo = jobs.hire("BE", p_name="Bo")
    done, waiting = jobs.add(), jobs.add()
    jobs.done(done)
    ann = jobs.hire("BE", p_name="Ann")
    jobs.office.operator.call("remove_agent", p_id=bo["id"])
    assert jobs.member(bo)["deleted_at"] is not None
    assert (jobs.row(done)["agent_id"], jobs.row(waiting)["agent_id"]) == (bo["id"], ann["id"])
    assert jobs.add()["agent_id"] == ann["id"]


def test_a_member_that_works_is_not_removed(jobs: SqlTeam) -> None:
    bo = jobs.hire("BE", p_name="Bo")
    jobs.server.begin(jobs.add("Login"))
    with pytest.raises(psycopg.Error, match="Bo works on Login"):
        jobs.office.operator.call("remove_agent", p_id=bo["id"])


def test_a_member_whose_job_begins_at_the_same_moment_is_removed_before_or_not_at_all(jobs: SqlTeam) -> None:
    for _ in range(10):
        bo = jobs.hire("BE")
        job = jobs.add()

        def remove(bo: DictRow = bo) -> None:
            try:
                jobs.office.operator.call("remove_agent", p_id=bo["id"])
            except psycopg.Error as err:
                assert str(err).startswith("conflict")

        together(remove, partial(jobs.server.begin, job))
        removed = jobs.member(bo)["deleted_at"] is not None
        assert jobs.row(job)["agent_id"] == (None if removed else bo["id"])
        jobs.server.finish(jobs.server.begin(job))
        jobs.office.operator.call("remove_agent", p_id=bo["id"])


def test_a_persona_of_the_office_replaces_the_one_before(jobs: SqlTeam) -> None:
    for prompt in ("You build.", "You build well."):
        jobs.office.operator.call(
            "set_persona", p_office_id=jobs.office.id, p_role="BE",
            p_persona={"name": "Backend", "prompt": prompt, "scope": ["src/**"], "skills": []},
        )  # fmt: skip
    rows = jobs.office.superuser.execute(
        "select persona_prompt, scope_patterns from agent_personas where office_id = %s", [jobs.office.id]
    ).fetchall()
    assert rows == [{"persona_prompt": "You build well.", "scope_patterns": ["src/**"]}]


@pytest.mark.parametrize(
    "persona",
    [
        {"name": "", "prompt": "x"},
        {"name": "a", "prompt": " "},
        {"name": "a", "prompt": "가" * 30_000},
        {"name": "a", "prompt": "x", "scope": ["a\nb"]},
    ],
    ids=["no name", "empty", "long", "line end"],
)
def test_a_persona_that_can_not_be_used_adds_nobody(jobs: SqlTeam, persona: dict[str, object]) -> None:
    with refused("invalid_payload"):
        jobs.hire("BE", p_persona=persona)
    found = jobs.office.superuser.execute("select 1 from office_agents where office_id = %s", [jobs.office.id])
    assert found.fetchall() == []


# Archived offices


def test_an_archived_office_takes_no_jobs_sessions_or_prompts_until_it_is_restored(jobs: SqlTeam) -> None:
    session = jobs.new_session()
    waiting = jobs.add()
    failed = jobs.add()
    jobs.fail(failed)
    jobs.change_office("archive_office")
    attempts: list[Callable[[], object]] = [
        jobs.add,
        lambda: jobs.office.prompt(session),
        lambda: jobs.office.send("create_session", {"profile": "shell"}),
        lambda: jobs.office.send("send_text", {"text": "ls"}, session),
        lambda: jobs.operate("retry_job", failed),
        lambda: jobs.server.begin(waiting),
        lambda: jobs.hire("BE"),
        lambda: jobs.want_spares(1),
    ]
    for attempt in attempts:
        with pytest.raises(psycopg.Error, match=r"The office office is archived\. `semo office restore`"):
            attempt()
    assert jobs.server.call("open_jobs") == []
    jobs.office.send("get_output", {}, session)
    jobs.office.send("send_text", {"text": "y", "answer": True}, session)
    jobs.office.send("terminate", {}, session)
    jobs.want_spares(0)
    jobs.change_office("restore_office")
    assert jobs.server.begin(waiting)["status"] == "running"


def test_an_office_whose_jobs_run_is_not_archived(jobs: SqlTeam) -> None:
    jobs.server.begin(jobs.add())
    with pytest.raises(psycopg.Error, match="1 of its jobs run"):
        jobs.change_office("archive_office")
