"""Circuit breakers in the database: what passes, what counts, and who can't make them wrong. R7 and R8 among them."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.sql.breakers import (
    PROFILE,
    at_once,
    begin,
    break_it,
    breaker,
    fail,
    let_time_pass,
    operate,
    refused,
    second_office,
    state,
    succeed,
    try_to_begin,
    until_it_waits,
)
from tests.integration.sql.office import SqlOffice

# Closed


@pytest.mark.parametrize("error", ["launch_failed", "terminal_unavailable", "timeout"])
def test_the_third_failure_in_a_row_opens_it(office: SqlOffice, error: str) -> None:
    for failures in (1, 2):
        fail(office, begin(office), error)
        assert state(office) == ("closed", failures)
    fail(office, begin(office), error)
    assert state(office) == ("open", 3)


def test_a_refusal_says_what_is_paused_since_what_and_until_when(office: SqlOffice) -> None:
    break_it(office)
    with pytest.raises(psycopg.Error) as caught:
        begin(office)
    assert caught.value.diag.message_primary == "breaker_open"
    sentence = caught.value.diag.message_detail or ""
    assert sentence.startswith(
        "Starting sessions of claude on host is paused after 3 failures (the last: No such program); next try in "
    )
    assert sentence.endswith(" s. `semo breaker reset` lifts it.")


def test_a_refused_session_leaves_no_row(office: SqlOffice) -> None:
    break_it(office)
    session = uuid4()
    with refused("breaker_open"):
        begin(office, session)
    assert office.superuser.execute("select 1 from agent_sessions where session_id = %s", [session]).fetchall() == []


def test_another_profile_and_another_host_are_not_paused(office: SqlOffice, other_office: SqlOffice) -> None:
    break_it(office)
    office.new_session()
    succeed(other_office, begin(other_office))


def test_in_closed_a_success_clears_old_failures(office: SqlOffice) -> None:
    break_it(office, 2)
    succeed(office, begin(office))
    assert state(office) == ("closed", 0)
    break_it(office, 2)
    assert state(office) == ("closed", 2)


def test_r7_saturation_keeps_the_breaker_closed(office: SqlOffice) -> None:
    office.operator.call(
        "attach_host", p_office_id=office.id, p_host_id=office.host, p_repo_path="/repo", p_max_sessions=1
    )
    succeed(office, begin(office))
    for _ in range(5):
        with refused("pool_exhausted"):
            begin(office)
    assert state(office) == ("closed", 0)


@pytest.mark.parametrize(
    "error", ["session_exited", "cancelled", "session_blocked", "draft_present", "not_ready", "invalid_payload"]
)
def test_what_is_no_fault_of_the_cli_neither_counts_nor_clears(office: SqlOffice, error: str) -> None:
    break_it(office, 2)
    fail(office, begin(office), error)
    assert state(office) == ("closed", 2)


def test_a_start_that_no_agent_began_in_time_does_not_count(office: SqlOffice) -> None:
    for _ in range(3):
        office.send("create_session", {"profile": PROFILE}, p_start_by_ms=0)
    office.operator.call("expire_commands")
    assert state(office) == ("closed", 0)


def test_only_sessions_that_are_made_and_prompts_of_jobs_pass_it(office: SqlOffice) -> None:
    session = begin(office)["session_id"]
    office.agent.call(
        "report_session", p_instance=office.instance, p_session_id=session,
        p_session={"status": "waiting_input", "status_source": "test"},
    )  # fmt: skip
    operate(office, "open_breaker")
    office.prompt(session)
    office.send("send_text", {"text": "y", "answer": True}, session)
    for command_type in ("cancel", "get_output", "terminate"):
        office.send(command_type, {}, session)


def test_many_failures_at_the_same_moment_are_all_counted(office: SqlOffice) -> None:
    office.superuser.execute(
        "insert into circuit_breakers (host_id, profile, failure_threshold) values (%s, %s, 100)",
        [office.host, PROFILE],
    )
    begun = [begin(office) for _ in range(10)]
    at_once(office, lambda worker, number: fail(worker, begun[number]))
    assert state(office) == ("closed", 10)


def test_the_first_failures_at_the_same_moment_make_one_row(office: SqlOffice) -> None:
    begun = [begin(office) for _ in range(10)]
    at_once(office, lambda worker, number: fail(worker, begun[number]))
    assert state(office) == ("open", 3), "what was begun before it opened says nothing about it any more"


def test_a_success_that_waited_while_a_failure_opened_it_clears_nothing(office: SqlOffice) -> None:
    begun = [begin(office) for _ in range(4)]
    fail(office, begun[0])
    fail(office, begun[1])
    late_agent = SqlOffice.join(office)
    with ThreadPoolExecutor(1) as pool:
        with office.agent.connection.transaction():
            fail(office, begun[2])
            late = pool.submit(succeed, late_agent, begun[3])
            until_it_waits(office, late_agent.agent)
        late.result(30)
    late_agent.close()
    assert state(office) == ("open", 3)


# Half-open


def test_r8_half_open_admits_one_of_ten(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    answers = at_once(office, try_to_begin)
    assert sorted(answers) == ["admitted"] + ["breaker_open"] * 9
    assert state(office)[0] == "half-open"


def test_r8_half_open_admits_as_many_as_it_is_told(office: SqlOffice) -> None:
    break_it(office)
    office.superuser.execute("update circuit_breakers set half_open_requests = 3 where host_id = %s", [office.host])
    let_time_pass(office)
    assert at_once(office, try_to_begin).count("admitted") == 3


def test_r8_two_offices_of_one_host_share_its_one_probe(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    second = SqlOffice.join(office)
    second.id = second_office(office)
    with ThreadPoolExecutor(1) as pool:
        with office.operator.connection.transaction():
            office.send("create_session", {"profile": PROFILE})
            late = pool.submit(try_to_begin, second, 0)
            until_it_waits(office, second.operator)
        assert late.result(30) == "breaker_open"
    second.close()


def test_r8_being_admitted_closes_nothing(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    begin(office)
    with refused("breaker_open"):
        begin(office)
    assert state(office) == ("half-open", 3)


def test_a_probe_that_succeeds_closes_it(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    succeed(office, begin(office))
    assert state(office) == ("closed", 0)
    begin(office)
    begin(office)


def test_a_probe_that_fails_opens_it_for_the_whole_time_again(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    fail(office, begin(office))
    assert state(office) == ("open", 4)
    with refused("breaker_open"):
        begin(office)


def test_a_probe_that_ends_without_a_verdict_gives_its_place_back(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    fail(office, begin(office), "cancelled")
    assert state(office) == ("half-open", 3)
    succeed(office, begin(office))
    assert state(office) == ("closed", 0)


def test_the_same_probe_asked_for_again_is_the_same_probe(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    command_id, session = uuid4(), uuid4()

    def ask(worker: SqlOffice, _: int) -> int:
        sequence: int = worker.send("create_session", {"profile": PROFILE}, session, p_id=command_id)["sequence"]
        return sequence

    answers = at_once(office, ask)
    assert len(answers) == 10
    assert len(set(answers)) == 1


def test_a_killed_caller_takes_no_place_with_it(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    caller = SqlOffice.join(office)
    with pytest.raises(psycopg.OperationalError), caller.operator.connection.transaction():
        caller.operator.become()
        caller.operator.connection.execute(
            """select create_command(%s, %s, 'create_session', '{"profile": "claude"}')""", [uuid4(), office.id]
        )
        office.superuser.execute("select pg_terminate_backend(%s)", [caller.operator.connection.info.backend_pid])
        caller.operator.connection.execute("select 1")
    caller.close()
    succeed(office, begin(office))


def test_a_probe_whose_host_never_came_gives_its_place_back_when_its_time_is_over(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    office.send("create_session", {"profile": PROFILE}, p_start_by_ms=0)
    succeed(office, begin(office))
    assert state(office) == ("closed", 0)


def test_a_probe_whose_host_is_lost_for_good_gives_its_place_back(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    begin(office)
    office.lose_host(30)
    with refused("breaker_open"):
        office.send("create_session", {"profile": PROFILE})
    office.lose_host(601)
    office.send("create_session", {"profile": PROFILE})


def test_a_probe_is_gone_with_its_session(office: SqlOffice) -> None:
    break_it(office)
    let_time_pass(office)
    probe = begin(office)
    office.superuser.execute("delete from agent_sessions where session_id = %s", [probe["session_id"]])
    begin(office)


def test_what_was_begun_before_it_opened_decides_no_half_open_round(office: SqlOffice) -> None:
    late_success, late_failure = begin(office), begin(office)
    break_it(office)
    let_time_pass(office)
    probe = begin(office)
    succeed(office, late_success)
    fail(office, late_failure)
    assert state(office) == ("half-open", 3)
    succeed(office, probe)
    assert state(office) == ("closed", 0)


def test_what_was_begun_before_a_reset_does_not_count_after_it(office: SqlOffice) -> None:
    begun = [begin(office) for _ in range(3)]
    operate(office, "reset_breaker")
    for command in begun:
        fail(office, command)
    assert state(office) == ("closed", 0)


# Operators and time


def test_one_opened_by_hand_stays_so_until_it_is_reset(office: SqlOffice) -> None:
    opened = operate(office, "open_breaker", p_reason="the licence\n ran out")
    assert (opened["state"], opened["manual"], opened["retry_at"]) == ("open", True, None)
    let_time_pass(office)
    with pytest.raises(psycopg.Error, match=r"paused by hand \(the licence ran out\)"):
        begin(office)
    operate(office, "reset_breaker")
    begin(office)
    assert state(office) == ("closed", 0)


def test_only_operators_of_an_office_that_the_host_serves_pause_it(office: SqlOffice, other_office: SqlOffice) -> None:
    for function in ("open_breaker", "reset_breaker"):
        with refused("forbidden"):
            other_office.operator.call(function, p_office_id=other_office.id, p_host_id=office.host, p_profile=PROFILE)


@pytest.mark.parametrize("wrong", [{"p_profile": ""}, {"p_profile": "x" * 41}, {"p_reason": "x" * 501}])
def test_what_can_not_be_a_breaker_is_refused(office: SqlOffice, wrong: dict[str, str]) -> None:
    arguments = {"p_office_id": office.id, "p_host_id": office.host, "p_profile": PROFILE, **wrong}
    with refused("invalid_payload"):
        office.operator.call("open_breaker", **arguments)


def test_a_cli_that_its_host_does_not_have_is_not_paused(office: SqlOffice) -> None:
    profile = {"name": PROFILE, "cli_version": None, "job_prompt": "briefing", "done_by": "nonce"}
    office.agent.call("report_profiles", p_instance=office.instance, p_profiles=Jsonb([profile]))
    pause = {"p_office_id": office.id, "p_host_id": office.host}
    with pytest.raises(psycopg.Error, match=rf"This host has no profile clade; there are {PROFILE}\."):
        office.operator.call("open_breaker", p_profile="clade", **pause)
    assert breaker(office) is None
    office.operator.call("open_breaker", p_profile=PROFILE, **pause)
    assert state(office)[0] == "open"


def test_the_sleep_of_the_host_does_not_bring_the_next_try_nearer(office: SqlOffice) -> None:
    break_it(office)
    office.superuser.execute(
        "update circuit_breakers set opened_at = now() - interval '1 hour', retry_at = now() - interval '59 minutes'"
        " where host_id = %s",
        [office.host],
    )
    office.agent.call("renew_leases", p_instance=office.instance, p_slept_ms=3_590_000)
    with pytest.raises(psycopg.Error, match=r"next try in [3-6][0-9] s"):
        begin(office)


def test_a_sleep_from_before_it_opened_keeps_it_no_longer(office: SqlOffice) -> None:
    break_it(office)
    office.agent.call("renew_leases", p_instance=office.instance, p_slept_ms=3_590_000)
    row = breaker(office)
    assert row is not None
    assert (row["retry_at"] - row["opened_at"]).total_seconds() < 90


def test_every_office_of_the_host_hears_of_a_change_and_reads_how_long_it_takes(office: SqlOffice) -> None:
    second = second_office(office)
    break_it(office)
    hints = office.superuser.execute(
        "select distinct topic from realtime.messages where event = 'hint' and private"
        " and payload ->> 'table' = 'circuit_breakers' and payload ->> 'id' = %s",
        [str(office.host)],
    ).fetchall()
    assert {row["topic"] for row in hints} == {f"office:{office.id}", f"office:{second}"}
    [read] = office.operator.call("office_breakers", p_office_id=second)
    assert 30_000 < read["retry_in_ms"] <= 60_000
    assert read["probes"] == 0


def test_nothing_deadlocks_when_everything_happens_at_once(office: SqlOffice) -> None:
    """Starts, ends, resets and sleeps of one host together: every refusal is a breaker's."""

    def churn(worker: SqlOffice, number: int) -> int:
        for done in range(12):
            if number == 0:
                operate(worker, "reset_breaker")
                worker.agent.call("renew_leases", p_instance=office.instance, p_slept_ms=1)
                continue
            assert try_to_begin(worker, number) in ("admitted", "breaker_open")
            for command in worker.claim(2):
                (fail if done % 2 else succeed)(worker, command)
        return number

    assert at_once(office, churn, workers=5) == [0, 1, 2, 3, 4]
    assert (
        office.superuser.execute(
            "select 1 from semo.breaker_permits p join agent_commands c on c.id = p.command_id"
            " where c.office_id = %s and c.status in ('completed', 'failed')",
            [office.id],
        ).fetchall()
        == []
    )
