"""The arguments with which the rights matrix calls every function that a client may call."""

from uuid import uuid4

from psycopg.types.json import Jsonb

from tests.integration.rights.office_rows import OfficeRows


def calls_of_every_function(rows: OfficeRows) -> dict[str, list[object]]:
    """Calls that succeed for the right caller. Of functions left out only EXECUTE is checked."""
    return {
        "public.create_office": [uuid4(), "mine", "/elsewhere"],
        "public.register_host": [rows.host, "renamed", rows.admin],
        "public.attach_host": [
            rows.office,
            rows.host,
            "/repo",
            "pty",
            3,
        ],
        "public.create_command": [
            uuid4(),
            rows.office,
            "send_prompt",
            Jsonb({"prompt": "echo 2"}),
            rows.session,
            None,
        ],
        "public.command_outcome": [rows.waiting_command],
        "public.cancel_command": [rows.waiting_command],
        "public.renew_leases": [rows.instance, False, 15000, 0],
        "public.claim_commands": [rows.instance, 5],
        "public.report_stage": [
            rows.claimed_command,
            rows.claim_token,
            "typed",
            Jsonb({}),
            None,
        ],
        "public.complete_command": [
            rows.claimed_command,
            rows.claim_token,
            True,
            Jsonb({}),
            None,
            None,
            Jsonb({}),
            None,
        ],
        "public.report_session": [
            rows.instance,
            rows.session,
            Jsonb({"status": "ready"}),
        ],
        "public.expire_commands": [],
        "public.ring_office": [rows.office, uuid4()],
        "public.create_job": [uuid4(), rows.office, "BE", "Job", "Do.", [], 100],
        "public.cancel_job": [rows.ready_job],
        "public.retry_job": [rows.failed_job],
        "public.admit_server": [rows.office, uuid4()],
        "public.take_office": [rows.office, rows.instance, 10000],
        "public.leave_office": [rows.office, rows.epoch],
        "public.open_jobs": [rows.office, rows.epoch],
        "public.begin_attempt": [rows.office, rows.epoch, rows.ready_job],
        "public.acquire_session": [rows.office, rows.epoch, rows.attempt, "shell", uuid4()],
        "public.create_job_command": [
            rows.attempt,
            rows.epoch,
            uuid4(),
            rows.office,
            "send_prompt",
            Jsonb({"prompt": "echo 2"}),
            rows.session,
            None,
        ],
        "public.finish_attempt": [rows.office, rows.epoch, rows.attempt, "done", None, None, Jsonb({}), None],
        "public.release_session": [rows.office, rows.epoch, rows.kept_session],
        "public.fill_pool": [rows.office, rows.epoch],
        "public.reap_pool": [rows.office, rows.epoch],
        "public.set_pool": [rows.office, Jsonb([{"role": "BE", "warm_pool_size": 1}]), 3, 600000, 14400000],
        "public.pool_status": [rows.office],
        "public.dismiss_session": [rows.kept_session],
        "public.forget_sessions": [rows.office],
        "public.watch_sessions": [rows.office, [rows.session], [rows.session], uuid4()],
        "public.broadcast_session_status": [rows.office, rows.session],
        "public.broadcast_command_result": [rows.office, rows.finished_command],
        "semo.can_read": [rows.office],
        "semo.can_operate": [rows.office],
        "semo.can_administer": [rows.office],
        "semo.serves": [rows.office],
        "semo.can_see_host": [rows.host],
        "semo.current_host": [],
        "semo.topic_office": [f"office:{rows.office}"],
    }
