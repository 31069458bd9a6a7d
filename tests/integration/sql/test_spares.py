"""Spares in the database, and what becomes of sessions that rest. Each test has an office of its own."""

from uuid import uuid4

import pytest

from tests.integration.sql.pool import SqlPool, refused

AWAY_S = 16  # after its lease: not seen for more than 30 s


# Spares


def test_a_spare_that_was_taken_is_replaced(pool: SqlPool) -> None:
    pool.want(BE=1)
    [first] = pool.filled()
    pool.started()
    [second] = pool.filled()
    assert (pool.state(first), pool.state(second)) == ("in_use", "spare")
    assert pool.filled() == [], "no more than are wanted"
    assert pool.reasons("fill") == ["made a spare: 0 of 1 BE sessions were there"] * 2


def test_all_sessions_together_are_never_more_than_cap_and_spares(pool: SqlPool) -> None:
    pool.want(cap=1, BE=1)
    for _ in range(2):
        pool.filled()
        pool.started()
    assert pool.filled() == []
    assert pool.survey()["used"] == 2


def test_a_spare_that_is_too_old_is_replaced(pool: SqlPool) -> None:
    pool.want(BE=1)
    [old] = pool.filled()
    pool.age(old, made_s=4 * 3600 + 1)
    assert set(pool.filled()) > {old}
    assert (pool.state(old), pool.role()["spares"]) == ("gone", 1)
    assert pool.reasons("replace") == ["ended the spare BE session: it was older than 4 h"]


def test_a_spare_whose_program_was_updated_is_replaced(pool: SqlPool) -> None:
    pool.report_version("1.0")
    pool.want(BE=1)
    [old] = pool.filled()
    assert pool.office.session(old)["cli_version"] == "1.0"
    pool.report_version("2.0")
    pool.started()
    assert pool.reasons("cold") == ["cold start: the spare BE session ran shell 1.0, and there is 2.0 now"]
    [new] = set(pool.filled()) - {old}
    assert (pool.state(old), pool.office.session(new)["cli_version"]) == ("gone", "2.0")


def test_a_spare_whose_version_is_not_known_is_as_good_as_any(pool: SqlPool) -> None:
    spare = pool.new_session()
    pool.report_version("1.0")
    assert pool.started()[1] == spare


def test_a_breaker_that_is_open_makes_spares_wait_and_says_so(pool: SqlPool) -> None:
    pool.want(BE=1)
    identity = {"p_office_id": pool.office.id, "p_host_id": pool.office.host, "p_profile": "shell"}
    pool.office.operator.call("open_breaker", **identity, p_reason="the licence ran out")
    assert pool.fill() == 15_000
    assert pool.serve() == []
    assert "the licence ran out" in pool.reasons("wait")[0]
    pool.office.operator.call("reset_breaker", **identity)
    assert len(pool.filled()) == 1


def test_a_spare_that_died_is_replaced(pool: SqlPool) -> None:
    pool.want(BE=1)
    [spare] = pool.filled()
    pool.office.agent.call(
        "report_session", p_instance=pool.office.instance, p_session_id=spare, p_session={"status": "terminated"}
    )
    assert len(pool.filled()) == 1


def test_a_start_that_failed_is_tried_again_after_longer_and_longer(pool: SqlPool) -> None:
    pool.want(BE=1)
    waits = []
    for _ in range(3):
        pool.office.superuser.execute("update pool_spares set retry_at = null where office_id = %s", [pool.office.id])
        pool.fill()
        [create] = pool.office.claim()
        pool.office.complete(create, success=False, p_error="launch_failed", p_message="no such program")
        waits.append(pool.fill() or 0)
        assert pool.office.claim() == []
    assert [round(wait / 1000) for wait in waits] == [2, 4, 8]
    pool.office.superuser.execute("update pool_spares set retry_at = null where office_id = %s", [pool.office.id])
    # After the third failure in a row its breaker is open as well.
    pool.office.operator.call(
        "reset_breaker", p_office_id=pool.office.id, p_host_id=pool.office.host, p_profile="shell"
    )
    pool.filled()
    [row] = pool.office.superuser.execute("select failures from pool_spares where office_id = %s", [pool.office.id])
    assert row["failures"] == 0


def test_a_host_without_room_gets_as_many_spares_as_it_can_hold_and_the_rest_later(pool: SqlPool) -> None:
    pool.office.operator.call(
        "attach_host", p_office_id=pool.office.id, p_host_id=pool.office.host, p_repo_path="/repo", p_max_sessions=1
    )
    pool.want(BE=2)
    assert pool.fill() == 15_000
    assert len(pool.serve()) == 1
    assert pool.reasons("wait") == ["no spare could be made: The host runs 1 sessions, its limit. End one first."]


def test_no_spares_are_made_for_a_host_that_is_away(pool: SqlPool) -> None:
    pool.want(BE=1)
    pool.office.lose_host(AWAY_S)
    pool.fill()
    assert pool.role()["starting"] == 0


# Idle sessions


def test_what_rests_too_long_is_ended_but_not_the_spares_that_are_wanted(pool: SqlPool) -> None:
    pool.want(BE=1)
    attempt, cold = pool.started()
    pool.prompt_and_finish(attempt, cold)
    [spare] = [pool.new_session()]
    for session in (cold, spare):
        pool.age(session, idle_s=599)
    assert pool.reap() == 0
    for session in (cold, spare):
        pool.age(session, idle_s=2)
    assert pool.reap() == 1
    assert pool.reap() == 0, "it is on its way"
    assert len(pool.serve()) == 1
    assert sorted(str(pool.state(session)) for session in (cold, spare)) == ["gone", "spare"]
    assert pool.reasons("reap") == ["ended a BE session: it was idle for 10 min"]


def test_a_conversation_is_ended_only_after_a_person_has_dismissed_it(pool: SqlPool) -> None:
    session = pool.new_session()
    pool.office.prompt(session)
    [prompt] = pool.office.claim()
    pool.office.complete(prompt, p_session={"status": "ready"})
    pool.age(session, idle_s=100_000)
    assert pool.reap() == 0
    assert pool.dismiss(session)["dismissed_at"] == pool.dismiss(session)["dismissed_at"]
    assert pool.reap() == 1
    assert pool.serve() == [session]
    assert pool.reasons("reap") == ["ended a BE session: it was dismissed"]


def test_a_persons_own_session_is_never_ended(pool: SqlPool) -> None:
    pool.age(pool.own_session(), idle_s=100_000)
    assert pool.reap() == 0


def test_the_sleep_of_a_host_is_no_rest_of_its_sessions(pool: SqlPool) -> None:
    session = pool.new_session()
    pool.age(session, idle_s=8 * 3600)
    pool.office.superuser.execute(
        "update leases set renewed_at = now() - interval '8 hours', expires_at = now() - interval '8 hours'"
        " where host_id = %s",
        [pool.office.host],
    )
    assert pool.reap() == 0, "nothing is ended on a host that is away"
    pool.office.agent.call("renew_leases", p_instance=pool.office.instance, p_slept_ms=8 * 3_600_000)
    assert pool.reap() == 0
    pool.age(session, idle_s=601)
    assert pool.reap() == 1


@pytest.mark.parametrize(
    ("prepare", "code", "sentence"),
    [
        (lambda pool: pool.own_session(), "conflict", "a person's own"),
        (lambda pool: pool.new_session(), "conflict", "is a spare"),
        (lambda pool: pool.started()[1], "conflict", "A job works in this session"),
        (lambda pool: uuid4(), "session_not_found", "no such session"),
    ],
    ids=["a person's", "a spare", "in use", "none"],
)
def test_only_what_is_kept_can_be_dismissed(pool: SqlPool, prepare: object, code: str, sentence: str) -> None:
    assert callable(prepare)
    session = prepare(pool)
    with refused(code, sentence):
        pool.dismiss(session)


def test_what_a_lost_host_left_behind_is_forgotten_by_hand_after_10_minutes(pool: SqlPool) -> None:
    session = pool.own_session()
    pool.office.lose_host(599)
    assert pool.office.operator.call("forget_sessions", p_office_id=pool.office.id) == [{"forget_sessions": 0}]
    pool.office.lose_host(601)
    assert pool.office.operator.call("forget_sessions", p_office_id=pool.office.id) == [{"forget_sessions": 1}]
    row = pool.office.session(session)
    assert row["status"] == "terminated"
    assert row["reason"].startswith("Forgotten: its host host was not seen since ")
