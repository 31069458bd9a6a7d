"""The pool in the database: who gets which session, and why. Each test has an office of its own."""

from uuid import uuid4

import pytest

from tests.integration.sql.pool import SqlPool, refused

AWAY_S = 16  # after its lease: not seen for more than 30 s


# Acquire


def test_a_job_takes_the_spare_of_its_role(pool: SqlPool) -> None:
    pool.want(BE=1)
    [spare] = pool.filled()
    attempt, session = pool.started()
    assert (session, pool.state(spare)) == (spare, "in_use")
    assert pool.reasons("spare") == ["spare: a BE session was ready"]
    assert pool.server.acquire(attempt) == session, "asked again it is the same"


def test_without_spares_a_job_starts_cold_and_its_reason_says_so(pool: SqlPool) -> None:
    _, session = pool.started()
    assert pool.state(session) == "in_use"
    assert pool.reasons("cold") == ["cold start: no spare BE session is wanted"]


def test_a_persons_own_session_is_never_taken(pool: SqlPool) -> None:
    own = pool.own_session("BE")
    _, session = pool.started()
    assert session != own
    assert (pool.state(own), pool.survey()["used"]) == (None, 1)


def test_a_spare_that_is_too_old_is_not_taken(pool: SqlPool) -> None:
    pool.want(BE=1)
    [old] = pool.filled()
    pool.age(old, made_s=4 * 3600 + 1)
    _, session = pool.started()
    assert session != old
    assert pool.reasons("cold") == ["cold start: the spare BE session was older than 4 h"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update agent_sessions set cwd = '/elsewhere' where session_id = %s", "was in another folder"),
        ("update agent_sessions set profile = 'claude' where session_id = %s", "runs claude, not shell"),
        ("update agent_sessions set status = 'creating' where session_id = %s", "is still starting"),
        ("update agent_sessions set status = 'executing' where session_id = %s", "is at work"),
        ("update agent_sessions set status = 'error' where session_id = %s", "had failed"),
    ],
    ids=["folder", "program", "starting", "at work", "in error"],
)
def test_a_spare_of_another_kind_is_not_taken(pool: SqlPool, change: str, why: str) -> None:
    pool.want(BE=1)
    [spare] = pool.filled()
    pool.office.superuser.execute(change.encode(), [spare])
    _, session = pool.started()
    assert session != spare
    assert pool.reasons("cold") == [f"cold start: the spare BE session {why}"]


def test_at_the_cap_a_job_waits_and_is_told_why_once(pool: SqlPool) -> None:
    pool.want(cap=2)
    first, session = pool.started()
    pool.started()
    waiting = pool.server.begin(pool.add())
    for _ in range(3):
        decided = pool.server.ask_for_session(waiting)
        assert (decided["session_id"], decided["error"]) == (None, "pool_exhausted")
    assert pool.reasons("wait") == ["waits: 2 of 2 cold sessions are in use"]
    pool.prompt_and_finish(first, session)
    assert pool.server.acquire(waiting) == session


def test_of_jobs_that_wait_the_most_urgent_has_the_next_session_whoever_asks_first(pool: SqlPool) -> None:
    pool.want(cap=1)
    working, session = pool.started()
    late, urgent = pool.server.begin(pool.add("late")), pool.server.begin(pool.add("urgent", p_priority=1))
    pool.server.ask_for_session(urgent)
    pool.prompt_and_finish(working, session)
    assert pool.server.ask_for_session(late)["reason"] == "waits: a more urgent BE job comes first"
    assert pool.server.acquire(urgent) == session


def test_a_job_of_another_role_does_not_wait_for_a_more_urgent_one(pool: SqlPool) -> None:
    pool.server.begin(pool.add("urgent", p_priority=1))
    assert pool.server.ask_for_session(pool.server.begin(pool.add("other", p_role="FE")))["create"]


def test_a_session_that_is_about_to_be_made_counts_to_the_cap(pool: SqlPool) -> None:
    pool.want(cap=1)
    one, two = pool.server.begin(pool.add()), pool.server.begin(pool.add())
    assert pool.server.ask_for_session(one)["create"]
    assert pool.server.ask_for_session(two)["session_id"] is None
    assert pool.role()["starting"] == 1
    pool.server.finish(one, "cancelled", p_error="cancelled")
    assert pool.server.ask_for_session(two)["create"]


def test_spares_are_beside_the_cap(pool: SqlPool) -> None:
    pool.want(cap=1, BE=2)
    assert len(pool.filled()) == 2
    assert pool.survey()["used"] == 0
    _, session = pool.started(role="QA")
    assert pool.state(session) == "in_use"


def test_at_the_cap_an_idle_session_of_another_role_makes_room(pool: SqlPool) -> None:
    pool.want(cap=1)
    attempt, idle = pool.started(role="QA")
    pool.prompt_and_finish(attempt, idle)
    waiting = pool.server.begin(pool.add())
    for _ in range(2):
        assert pool.server.ask_for_session(waiting)["session_id"] is None
    assert pool.reasons("wait") == ["waits: an idle QA session is being ended to make room"]
    assert pool.serve() == [idle]
    assert pool.server.ask_for_session(waiting)["create"]


def test_an_idle_session_that_is_just_being_given_back_is_not_ended_but_taken_by_the_next_look(pool: SqlPool) -> None:
    pool.want(cap=1)
    session, attempt = pool.new_session(), pool.server.begin(pool.add())
    with pool.office.superuser.transaction():
        pool.office.superuser.execute("select 1 from agent_sessions where session_id = %s for no key update", [session])
        assert pool.server.ask_for_session(attempt)["session_id"] is None
    assert pool.reasons("reap") == []
    assert pool.server.acquire(attempt) == session


def test_a_dead_hosts_spare_is_not_handed_out_and_its_sessions_do_not_count(pool: SqlPool) -> None:
    pool.want(cap=1, BE=1)
    [spare] = pool.filled()
    pool.started(role="QA")
    assert pool.survey()["used"] == 1
    pool.office.lose_host(AWAY_S)
    attempt = pool.server.begin(pool.add())
    assert pool.server.ask_for_session(attempt)["error"] == "host_offline"
    other = pool.add_host()
    decided = pool.server.ask_for_session(attempt)
    assert (decided["create"], decided["host_id"]) == (True, str(other))
    assert decided["session_id"] != str(spare)
    assert pool.reasons("cold")[-1] == "cold start: the spare BE session is on a host that is away"
    assert pool.role()["lost"] == 1


def test_a_host_that_is_full_makes_a_job_wait_or_go_to_another_host(pool: SqlPool) -> None:
    pool.own_session()
    pool.office.operator.call(
        "attach_host", p_office_id=pool.office.id, p_host_id=pool.office.host, p_repo_path="/repo", p_max_sessions=1
    )
    attempt = pool.server.begin(pool.add())
    assert pool.server.ask_for_session(attempt)["error"] == "pool_exhausted"
    assert pool.reasons("wait")[0].startswith("waits: host runs 1 sessions, its limit; ")
    other = pool.add_host()
    assert pool.server.ask_for_session(attempt)["host_id"] == str(other)


def test_a_new_session_goes_where_its_program_is_not_paused(pool: SqlPool) -> None:
    other = pool.add_host()
    for host, free in ((pool.office.host, other), (other, pool.office.host)):
        identity = {"p_office_id": pool.office.id, "p_host_id": host, "p_profile": "shell"}
        pool.office.operator.call("open_breaker", **identity, p_reason="broken")
        assert pool.server.ask_for_session(pool.server.begin(pool.add()))["host_id"] == str(free)
        pool.office.operator.call("reset_breaker", **identity)


def test_a_host_whose_lease_has_just_run_out_still_counts(pool: SqlPool) -> None:
    pool.want(cap=1)
    pool.started()
    pool.office.lose_host(AWAY_S - 6)
    assert pool.survey()["used"] == 1


def test_a_deposed_leader_gets_nothing(pool: SqlPool) -> None:
    attempt, session = pool.started()
    pool.let_lease_run_out()
    pool.new_server().take()
    for act in (
        lambda: pool.server.acquire(attempt),
        lambda: pool.release(session),
        pool.fill,
        pool.reap,
    ):
        with refused("superseded"):
            act()


# Release


def test_r6_taking_and_giving_back_spares_conserves_the_pool(pool: SqlPool) -> None:
    pool.want(BE=4)
    spares = set(pool.filled())
    for _ in range(20):
        attempt, session = pool.started()
        assert session in spares
        pool.prompt_and_finish(attempt, session)
        assert (pool.role()["spares"], pool.role()["in_use"]) == (4, 0)
    assert pool.fill() is None
    assert pool.serve() == []


def test_a_shell_is_used_again(pool: SqlPool) -> None:
    attempt, session = pool.started()
    pool.prompt_and_finish(attempt, session)
    assert pool.state(session) == "spare"
    assert pool.reasons("release") == ["given back: the next job may use it"]
    assert pool.started()[1] == session


def test_a_shell_that_still_asks_is_kept_for_a_person(pool: SqlPool) -> None:
    attempt, session = pool.started()
    pool.prompt_and_finish(attempt, session, ends="waiting_input")
    assert pool.state(session) == "kept"
    assert pool.reasons("release") == ["kept: it did not come back to its prompt"]


def test_a_shell_of_a_job_on_which_a_person_decides_is_kept_to_be_read(pool: SqlPool) -> None:
    attempt, session = pool.started()
    pool.server.finish(attempt, "needs_review", p_error="indeterminate")
    assert pool.state(session) == "kept"
    assert pool.reasons("release") == ["kept: a person decides on its job"]


def test_what_has_held_a_conversation_is_kept_and_fills_no_cap(pool: SqlPool) -> None:
    pool.want(cap=1)
    attempt, session = pool.started(profile="claude")
    pool.prompt_and_finish(attempt, session)
    assert (pool.state(session), pool.survey()["used"], pool.role()["kept"]) == ("kept", 0, 1)
    assert pool.reasons("release") == ["kept: it has held a conversation"]


def test_a_program_that_nobody_prompted_is_used_again(pool: SqlPool) -> None:
    attempt, session = pool.started(profile="claude")
    pool.server.finish(attempt, "cancelled", p_error="cancelled")
    assert pool.state(session) == "spare"


def test_a_session_is_not_given_back_while_a_job_works_in_it(pool: SqlPool) -> None:
    attempt, session = pool.started()
    with refused("conflict", "A job works in this session"):
        pool.release(session)
    pool.prompt_and_finish(attempt, session)
    assert pool.release(session) == "spare", "again is no error"
    assert pool.release(pool.own_session()) is None
    with refused("session_not_found"):
        pool.release(uuid4())


def test_a_spare_that_a_person_writes_to_is_that_persons(pool: SqlPool) -> None:
    pool.want(BE=1)
    [spare] = pool.filled()
    pool.office.prompt(spare)
    assert pool.state(spare) == "kept"
    [prompt] = pool.office.claim()
    pool.office.complete(prompt, p_session={"status": "ready"})
    assert pool.started()[1] != spare


def test_an_answer_to_what_a_spare_asks_when_it_starts_leaves_it_a_spare(pool: SqlPool) -> None:
    session = pool.new_session()
    pool.office.send("send_text", {"text": "y", "answer": True}, session)
    assert pool.state(session) == "spare"


def test_what_was_dismissed_is_wanted_again_by_whoever_writes_to_it(pool: SqlPool) -> None:
    session = pool.new_session()
    pool.office.send("send_text", {"text": "ls"}, session)
    assert pool.dismiss(session)["dismissed_at"] is not None
    pool.office.send("send_text", {"text": "ls"}, session)
    assert (pool.state(session), pool.office.session(session)["dismissed_at"]) == ("kept", None)


def test_a_kept_session_never_becomes_a_spare_again(pool: SqlPool) -> None:
    session = pool.new_session()
    pool.office.prompt(session)
    with refused("conflict"):
        pool.office.superuser.execute("update agent_sessions set pool_state = 'spare' where session_id = %s", [session])


# Settings and status


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"BE": -1}, "0 to 50 spare sessions, not -1"),
        ({"BE": 51}, "0 to 50 spare sessions, not 51"),
        ({"BEE": 1}, "Nobody in this office is BEE. There are: .*BE"),
        ({"": 1}, "1 to 40 characters"),
    ],
)
def test_what_can_not_be_wanted_is_refused_and_nothing_changes(
    pool: SqlPool, sizes: dict[str, int], sentence: str
) -> None:
    before = pool.want(BE=1, cap=2)
    with refused("invalid_payload", sentence):
        pool.set({"FE": 1, **sizes}, cap=9)
    after = pool.survey()
    assert (after["cap"], [role["role"] for role in after["roles"]]) == (before["cap"], ["BE"])


def test_no_spare_is_wanted_of_a_cli_that_no_host_can_start(pool: SqlPool) -> None:
    pool.want(QA=1, profile="claude")
    pool.report_version("5.2")
    with refused("invalid_payload", r"No host of this office has the profile clade; there are shell\."):
        pool.want(BE=1, profile="clade")
    assert [role["role"] for role in pool.survey()["roles"]] == ["QA"]
    pool.want(QA=0)


def test_what_is_not_named_stays_as_it_is(pool: SqlPool) -> None:
    pool.want(BE=1, FE=2, cap=5, profile="claude")
    status = pool.want(FE=0)
    assert (status["cap"], status["idle_timeout_ms"]) == (5, 600_000)
    assert [(role["role"], role["wanted"], role["profile"]) for role in status["roles"]] == [("BE", 1, "claude")]


def test_the_status_counts_every_session_once(pool: SqlPool) -> None:
    pool.want(BE=1)
    pool.filled()
    pool.started()
    pool.fill()
    role = pool.role()
    counts = {key: role[key] for key in ("wanted", "spares", "starting", "in_use", "kept", "lost")}
    assert counts == {"wanted": 1, "spares": 0, "starting": 1, "in_use": 1, "kept": 0, "lost": 0}
    assert role["last"]["reason"] == "made a spare: 0 of 1 BE sessions were there"
    assert (pool.survey()["cap"], pool.survey()["used"]) == (3, 1)


def test_only_the_last_500_decisions_are_kept_and_none_is_changed(pool: SqlPool) -> None:
    pool.office.superuser.execute(
        "select semo.decide(%s, 'BE', 'fill', 'because ' || n) from generate_series(1, 510) n", [pool.office.id]
    )
    reasons = pool.reasons("fill")
    assert (len(reasons), reasons[0], reasons[-1]) == (500, "because 11", "because 510")
    with refused("conflict"):
        pool.office.superuser.execute("update pool_decisions set reason = 'no' where office_id = %s", [pool.office.id])
