"""Commands in the database: lane, fence, limits. Each test has an office of its own."""

import threading
from uuid import uuid4

import psycopg
import pytest

from tests.integration.sql.office import SqlOffice


def refused(code: str) -> "pytest.RaisesExc[psycopg.Error]":
    return pytest.raises(psycopg.Error, match=f"^{code}\n")


def test_a_prompt_goes_through_every_stage(office: SqlOffice) -> None:
    session = office.new_session()
    prompt = office.prompt(session)
    [claimed] = office.claim()
    office.report(claimed, "typed")
    office.report(claimed, "accepted")
    assert office.session(session)["status"] == "executing"
    assert office.complete(claimed, p_result={"output": "1"}, p_session={"status": "ready"}) == "completed"
    assert office.stages(prompt["id"]) == ["queued", "claimed", "typed", "accepted", "turn_ended"]
    assert office.session(session)["active_turn_command_id"] is None


def test_the_same_id_with_the_same_content_returns_the_row(office: SqlOffice) -> None:
    session, command_id = office.new_session(), uuid4()
    first = office.prompt(session, p_id=command_id)
    assert office.prompt(session, p_id=command_id)["sequence"] == first["sequence"]


def test_the_same_id_with_another_content_is_refused(office: SqlOffice) -> None:
    session, command_id = office.new_session(), uuid4()
    office.prompt(session, "echo 1", p_id=command_id)
    with refused("conflict"):
        office.prompt(session, "echo 2", p_id=command_id)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_prompt_is_refused(office: SqlOffice, text: str) -> None:
    with refused("invalid_payload"):
        office.prompt(office.new_session(), text)


def test_a_prompt_is_measured_in_bytes(office: SqlOffice) -> None:
    session = office.new_session()
    office.prompt(session, "가" * 87_381)
    with refused("invalid_payload"):
        office.prompt(session, "가" * 87_382)


def test_a_session_of_another_office_is_not_found(office: SqlOffice, other_office: SqlOffice) -> None:
    with refused("session_not_found"):
        office.prompt(other_office.new_session())


def test_only_the_head_of_a_lane_is_handed_out(office: SqlOffice) -> None:
    session = office.new_session()
    first, second = office.prompt(session, "one"), office.prompt(session, "two")
    [claimed] = office.claim()
    assert claimed["id"] == first["id"]
    assert office.claim() == []
    office.report(claimed, "typed")
    office.report(claimed, "accepted")
    assert office.claim() == [], "the turn runs: a prompt waits until the session is ready again"
    office.complete(claimed, p_session={"status": "ready"})
    assert [command["id"] for command in office.claim()] == [second["id"]]


def test_typed_text_is_handed_out_while_a_turn_runs(office: SqlOffice) -> None:
    session = office.new_session()
    office.prompt(session)
    [prompt] = office.claim()
    office.report(prompt, "accepted")
    text = office.send("send_text", {"text": "y"}, session)
    assert [command["id"] for command in office.claim()] == [text["id"]]


@pytest.mark.parametrize(
    ("command_type", "payload"),
    [("cancel", {}), ("terminate", {}), ("get_output", {}), ("send_text", {"text": "y", "answer": True})],
)
def test_an_urgent_command_passes_a_waiting_prompt(
    office: SqlOffice, command_type: str, payload: dict[str, object]
) -> None:
    session = office.new_session("waiting_input")
    office.prompt(session)
    urgent = office.send(command_type, payload, session)
    assert [command["id"] for command in office.claim()] == [urgent["id"]]


def test_a_prompt_waits_while_the_session_asks(office: SqlOffice) -> None:
    office.prompt(office.new_session("waiting_input"))
    assert office.claim() == []


def test_two_claims_at_once_never_break_the_order(office: SqlOffice) -> None:
    sessions = [office.new_session() for _ in range(4)]
    sent = {session: [office.prompt(session, str(n))["id"] for n in range(10)] for session in sessions}
    handed_out: list[psycopg.rows.DictRow] = []
    everything_done = threading.Event()

    def work() -> None:
        worker = SqlOffice.join(office)
        while not everything_done.is_set():
            for command in worker.claim(2):
                handed_out.append(command)
                worker.report(command, "accepted")
                worker.complete(command, p_session={"status": "ready"})
            if len(handed_out) == 40:
                everything_done.set()
        worker.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    assert {session: [c["id"] for c in handed_out if c["session_id"] == session] for session in sessions} == sent


def test_r1_a_claim_for_a_hint_and_one_of_the_poll_take_a_command_once(office: SqlOffice) -> None:
    for_a_hint = SqlOffice.join(office)
    for_a_hint.agent.connection.execute("set lock_timeout = '2s'")
    prompt = office.prompt(office.new_session())
    with office.agent.connection.transaction():
        taken = office.claim()
        # The other one has not seen the end of this transaction, and does not wait for it.
        assert for_a_hint.claim() == []
    assert for_a_hint.claim() == []
    assert [command["id"] for command in taken] == [prompt["id"]]
    assert office.stages(prompt["id"]) == ["queued", "claimed"]
    for_a_hint.close()


def test_a_wrong_token_changes_nothing(office: SqlOffice) -> None:
    office.prompt(office.new_session())
    [claimed] = office.claim()
    with refused("conflict"):
        office.complete(claimed, p_claim_token=uuid4())
    assert office.command(claimed["id"])["status"] == "processing"


def test_r25_completing_twice_says_so_and_keeps_the_first_result(office: SqlOffice) -> None:
    office.prompt(office.new_session())
    [claimed] = office.claim()
    assert office.complete(claimed, p_result={"output": "1"}) == "completed"
    assert office.complete(claimed, p_result={"output": "2"}) == "repeated"
    [row] = office.superuser.execute(
        "select result from agent_command_results where command_id = %s", [claimed["id"]]
    ).fetchall()
    assert row["result"] == {"output": "1"}


def test_a_finished_command_does_not_change_even_for_the_superuser(office: SqlOffice) -> None:
    office.prompt(office.new_session())
    [claimed] = office.claim()
    office.complete(claimed)
    with refused("conflict"):
        office.superuser.execute(
            "update agent_commands set status = 'pending', completed_at = null where id = %s", [claimed["id"]]
        )


def test_the_record_of_a_command_is_append_only(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session())
    with refused("conflict"):
        office.superuser.execute(
            "update agent_command_events set stage = 'typed' where command_id = %s", [prompt["id"]]
        )


def test_what_ended_takes_its_waiting_commands_with_it(office: SqlOffice) -> None:
    session = office.new_session("executing")
    prompt = office.prompt(session)
    office.agent.call(
        "report_session",
        p_instance=office.instance,
        p_session_id=session,
        p_session={"status": "terminated", "exit_status": 3},
    )
    assert (office.command(prompt["id"])["status"], office.command(prompt["id"])["error"]) == (
        "failed",
        "session_exited",
    )
    with refused("session_exited"):
        office.prompt(session)


def test_a_terminated_session_does_not_come_back(office: SqlOffice) -> None:
    session = office.new_session("terminated")
    with refused("conflict"):
        office.agent.call(
            "report_session", p_instance=office.instance, p_session_id=session, p_session={"status": "ready"}
        )


def test_a_waiting_command_can_be_taken_back(office: SqlOffice) -> None:
    session = office.new_session("executing")
    prompt = office.prompt(session)
    office.operator.call("cancel_command", p_command_id=prompt["id"])
    assert office.command(prompt["id"])["error"] == "cancelled"


def test_a_command_that_began_can_not_be_taken_back(office: SqlOffice) -> None:
    office.prompt(office.new_session())
    [claimed] = office.claim()
    with refused("conflict"):
        office.operator.call("cancel_command", p_command_id=claimed["id"])


def test_an_overdue_command_fails_with_timeout(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session("executing"), p_start_by_ms=0)
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["error"] == "timeout"


def test_a_session_that_could_not_begin_in_time_has_ended(office: SqlOffice) -> None:
    created = office.send("create_session", {"profile": "shell"}, p_start_by_ms=0)
    prompt = office.prompt(created["session_id"])
    office.operator.call("expire_commands")
    assert office.session(created["session_id"])["status"] == "terminated"
    assert office.command(prompt["id"])["error"] == "session_exited"


def test_an_overdue_command_is_not_handed_out(office: SqlOffice) -> None:
    office.prompt(office.new_session(), p_start_by_ms=0)
    assert office.claim() == []


def test_r3_what_was_only_claimed_goes_back_when_the_host_is_lost(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session())
    office.claim()
    office.lose_host()
    office.operator.call("expire_commands")
    assert (office.command(prompt["id"])["status"], office.command(prompt["id"])["lane_held"]) == ("pending", False)


def test_after_three_lost_attempts_the_command_fails(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session())
    for _ in range(3):
        office.agent.call("renew_leases", p_instance=office.instance)
        office.claim()
        office.lose_host()
        office.operator.call("expire_commands")
    assert office.command(prompt["id"])["error"] == "host_offline"


def test_r3_what_may_have_been_typed_waits_ten_minutes_and_is_never_typed_again(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session())
    [claimed] = office.claim()
    office.report(claimed, "typed")
    office.lose_host(599)
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["status"] == "processing"
    office.lose_host(601)
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["error"] == "indeterminate"
    assert office.complete(claimed, p_result={"output": "1"}) == "late"
    assert office.command(prompt["id"])["late_result"]["result"] == {"output": "1"}


def test_a_new_process_of_the_host_supersedes_the_old_one(office: SqlOffice) -> None:
    office.agent.call("renew_leases", p_instance=uuid4(), p_take=True)
    with refused("superseded"):
        office.agent.call("renew_leases", p_instance=office.instance)
    with refused("superseded"):
        office.claim()


def test_a_host_that_works_for_its_owner_refuses_other_operators(office: SqlOffice, other_office: SqlOffice) -> None:
    session, guest = office.new_session(), other_office.operator
    office.superuser.execute("insert into office_members values (%s, %s, 'admin')", [office.id, guest.user])
    with refused("forbidden"):
        guest.call(
            "create_command",
            p_id=uuid4(),
            p_office_id=office.id,
            p_command_type="send_prompt",
            p_payload={"prompt": "id"},
            p_session_id=session,
        )


def test_a_full_host_takes_no_further_session(office: SqlOffice) -> None:
    office.operator.call(
        "attach_host", p_office_id=office.id, p_host_id=office.host, p_repo_path="/repo", p_max_sessions=1
    )
    office.new_session()
    with refused("pool_exhausted"):
        office.send("create_session", {"profile": "shell"})


def test_every_change_sends_a_hint_that_names_the_row(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session("executing"))
    rows = office.superuser.execute(
        "select payload from realtime.messages where topic = %s and event = 'hint' and private", [f"office:{office.id}"]
    )
    hints = [row["payload"] for row in rows]
    assert {"table": "agent_commands", "id": str(prompt["id"]), "version": prompt["version"]}.items() <= next(
        hint for hint in hints if hint["id"] == str(prompt["id"])
    ).items()


def test_what_waited_while_its_host_slept_has_its_time_left(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session("executing"), p_start_by_ms=60_000)
    office.superuser.execute(
        "update agent_commands set created_at = now() - interval '1 hour', start_by = now() - interval '59 minutes'"
        " where id = %s",
        [prompt["id"]],
    )
    office.agent.call("renew_leases", p_instance=office.instance, p_slept_ms=3_590_000)
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["status"] == "pending"


def test_a_sleep_gives_no_command_more_time_than_it_has_waited(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session("executing"), p_start_by_ms=60_000)
    before = office.command(prompt["id"])["start_by"]
    office.agent.call("renew_leases", p_instance=office.instance, p_slept_ms=3_590_000)
    assert (office.command(prompt["id"])["start_by"] - before).total_seconds() < 30


def test_what_no_agent_could_begin_in_time_names_the_host(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session("executing"), p_start_by_ms=0)
    office.lose_host()
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["error"] == "host_offline"


def test_an_agent_can_ask_whether_its_claim_still_holds(office: SqlOffice) -> None:
    prompt = office.prompt(office.new_session())
    [claimed] = office.claim()
    office.report(claimed, "claimed")
    assert office.stages(prompt["id"]) == ["queued", "claimed"]
    office.lose_host()
    office.operator.call("expire_commands")
    with refused("conflict"):
        office.report(claimed, "claimed")


def test_a_ring_is_heard_on_the_topic_of_its_office_alone(office: SqlOffice, other_office: SqlOffice) -> None:
    nonce = uuid4()
    office.agent.call("ring_office", p_office_id=office.id, p_nonce=nonce)
    rows = office.superuser.execute(
        "select topic, private, payload ->> 'nonce' as nonce from realtime.messages where event = 'canary'"
        " and payload ->> 'nonce' = %s",
        [str(nonce)],
    ).fetchall()
    assert [(row["topic"], row["private"]) for row in rows] == [(f"office:{office.id}", True)]
    with refused("forbidden"):
        office.agent.call("ring_office", p_office_id=other_office.id, p_nonce=nonce)


def test_what_was_only_claimed_is_not_given_back_into_a_session_that_has_ended(office: SqlOffice) -> None:
    session = office.new_session()
    prompt = office.prompt(session)
    office.claim()
    ended = {"status": "terminated", "status_source": "test"}
    office.agent.call("report_session", p_instance=office.instance, p_session_id=session, p_session=ended)
    office.lose_host()
    office.operator.call("expire_commands")
    assert office.command(prompt["id"])["error"] == "session_exited"
