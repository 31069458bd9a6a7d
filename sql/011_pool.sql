-- The pool: sessions that the office makes for its jobs, and who may have one.
--
--   made warm ──► spare ──acquire──► in_use ──release──► spare   a shell, or a program that was never prompted
--   made cold ─────────────────────► in_use ──release──► kept    what has held a conversation: a person reads it
--                 spare ──a person's prompt────────────► kept
--
-- Every session of the pool is in one of these states until it is gone (`status = 'terminated'`). A person's own session
-- has none, and is never taken, counted or ended by the pool.
--
-- The cap is for what is in use, for what is about to be made, and for spares beyond those that are wanted; the wanted
-- spares are beside it. What was kept fills the host and not the cap: reading takes a person as long as it takes.
-- Hosts that were not seen for 30 s are not counted, and nothing of theirs is handed out.
--
-- Locks are taken in one order: the office's lease, the job, the attempt, the pool (its settings), the session, the command.

alter table public.agent_sessions
    add column pool_state text check (pool_state in ('spare', 'in_use', 'kept')),
    add column dismissed_at timestamptz,
    add column cli_version text;
comment on column public.agent_sessions.pool_state is 'Null: a person''s own session, never the pool''s business.';
comment on column public.agent_sessions.dismissed_at is 'A person has read it: the pool may end it.';
comment on column public.agent_sessions.cli_version is 'The version of its program when it was made; null: not known.';
create index agent_sessions_pool on public.agent_sessions (office_id, role)
    where pool_state is not null and status <> 'terminated';

-- Tables ------------------------------------------------------------------------------------------

create table public.pool_settings (
    office_id          uuid primary key references public.offices (id) on delete cascade,
    max_cold_sessions  integer not null default 3 check (max_cold_sessions between 0 and 500),
    idle_timeout_ms    bigint not null default 600000 check (idle_timeout_ms between 1000 and 604800000),
    spare_max_age_ms   bigint not null default 14400000 check (spare_max_age_ms between 60000 and 2592000000),
    updated_at         timestamptz not null default now(),
    version            bigint not null default 0
);
comment on table public.pool_settings is 'One row an office. Its lock is the pool''s: whoever counts and then changes holds it.';

create table public.pool_spares (
    office_id        uuid not null references public.offices (id) on delete cascade,
    role             text not null check (length(role) between 1 and 40),
    profile          text not null default 'shell' check (length(profile) between 1 and 40),
    warm_pool_size   integer not null check (warm_pool_size between 0 and 50),
    wanted_by        uuid not null,
    failures         integer not null default 0,
    retry_at         timestamptz,
    updated_at       timestamptz not null default now(),
    version          bigint not null default 0,
    primary key (office_id, role)
);
comment on table public.pool_spares is 'How many sessions of a role wait ready for a job. They are made in the name of wanted_by.';
comment on column public.pool_spares.failures is 'Starts that failed in a row; the next one waits until retry_at.';

create table public.pool_decisions (
    id          bigint generated always as identity primary key,
    office_id   uuid not null references public.offices (id) on delete cascade,
    at          timestamptz not null default clock_timestamp(),
    role        text not null,
    decision    text not null check (decision in ('spare', 'cold', 'wait', 'fill', 'replace', 'reap', 'release')),
    reason      text not null,
    session_id  uuid,
    attempt_id  uuid
);
comment on table public.pool_decisions is 'Append-only: what the pool decided, and why. The last 500 of an office are kept.';
create index pool_decisions_office_id on public.pool_decisions (office_id, id);

insert into public.pool_settings (office_id) select o.id from public.offices o;

create function semo.open_pool() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.pool_settings (office_id) values (new.id) on conflict do nothing;
    return null;
end $$;
create trigger open_pool after insert on public.offices for each row execute function semo.open_pool();

create trigger touch before insert or update on public.pool_settings for each row execute function semo.touch();
create trigger touch before insert or update on public.pool_spares for each row execute function semo.touch();
create trigger hint after insert or update on public.pool_settings for each row execute function semo.hint('office_id', 'office_id');
create trigger hint after insert or update on public.pool_spares for each row execute function semo.hint('role', 'office_id');

-- Decisions are numbered by their id, so they need no version of their own.
create function semo.hint_decision() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform realtime.send(
        jsonb_build_object('table', 'pool_decisions', 'id', new.id::text, 'version', new.id, 'op', 'insert'),
        'hint', 'office:' || new.office_id, true
    );
    return null;
end $$;
create trigger hint after insert on public.pool_decisions for each row execute function semo.hint_decision();

-- What may change ---------------------------------------------------------------------------------

create function semo.guard_pool_state() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if coalesce(old.pool_state, 'none') || '>' || coalesce(new.pool_state, 'none')
       not in ('none>spare', 'spare>in_use', 'spare>kept', 'in_use>spare', 'in_use>kept') then
        perform semo.refuse('conflict', format('A session of the pool does not go from %s to %s.',
            coalesce(old.pool_state, 'a person'), coalesce(new.pool_state, 'a person')));
    end if;
    return new;
end $$;
create trigger guard_pool_state before update of pool_state on public.agent_sessions
    for each row when (old.pool_state is distinct from new.pool_state) execute function semo.guard_pool_state();

create function semo.guard_decision() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.refuse('conflict', 'The record of the pool is append-only.');
    return null;
end $$;
create trigger guard before update on public.pool_decisions for each row execute function semo.guard_decision();

-- Shared steps ------------------------------------------------------------------------------------

create function semo.lock_pool(p_office_id uuid) returns public.pool_settings
language sql security definer set search_path = '' as $$
    select * from public.pool_settings p where p.office_id = p_office_id for update
$$;

-- Whoever waits asks every few seconds: the same answer again is not written down again.
create function semo.decide(
    p_office_id uuid, p_role text, p_decision text, p_reason text, p_session_id uuid default null, p_attempt_id uuid default null
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if p_decision = 'wait' and (p_decision, p_reason) = (
        select d.decision, d.reason from public.pool_decisions d
        where d.office_id = p_office_id and d.role = p_role and d.attempt_id is not distinct from p_attempt_id
        order by d.id desc limit 1
    ) then
        return;
    end if;
    insert into public.pool_decisions (office_id, role, decision, reason, session_id, attempt_id)
    values (p_office_id, p_role, p_decision, p_reason, p_session_id, p_attempt_id);
    -- Whoever else tidies up at the same moment is not waited for: this comes last of all locks, in any order.
    delete from public.pool_decisions d where d.id in (
        select o.id from public.pool_decisions o
        where o.office_id = p_office_id and o.id <= (
            select l.id from public.pool_decisions l where l.office_id = p_office_id order by l.id desc offset 500 limit 1)
        for update skip locked);
end $$;

-- A lease lasts 15 s after its host was seen.
create function semo.host_is_seen(p_host_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.leases l
        where l.host_id = p_host_id and l.expires_at > clock_timestamp() - interval '15 seconds'
    )
$$;

create function semo.host_is_there(p_host_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select 1 from public.leases l where l.host_id = p_host_id and l.expires_at > clock_timestamp())
$$;

-- Where a new session goes: to a host that was seen, runs what the author asks for, is not paused for this program and has
-- room; of several, to the one with the most room. `has_room` is false when none has any; no row: none was seen.
create function semo.choose_host(p_office_id uuid, p_profile text, p_author uuid)
returns table (host_id uuid, name text, max_sessions integer, has_room boolean)
language sql stable security definer set search_path = '' as $$
    select h.id, h.name, o.max_sessions, n.live < o.max_sessions
    from public.office_hosts o join public.agent_hosts h on h.id = o.host_id
    cross join lateral (
        select count(*) as live from public.agent_sessions s
        where s.host_id = o.host_id and s.office_id = p_office_id and s.status <> 'terminated'
    ) n
    where o.office_id = p_office_id and semo.host_is_seen(o.host_id)
    order by semo.runs_for(o.host_id, p_author, true) desc,
        exists (select 1 from public.circuit_breakers b
                where b.host_id = o.host_id and b.profile = p_profile and b.state = 'open'),
        n.live < o.max_sessions desc, semo.host_is_there(o.host_id) desc, n.live::float8 / o.max_sessions, o.created_at, h.id
    limit 1
$$;

-- The version that the host has now; null: not known.
create function semo.cli_version(p_host_id uuid, p_profile text) returns text
language sql stable security definer set search_path = '' as $$
    select h.cli_version from public.host_profiles h where h.host_id = p_host_id and h.name = p_profile
$$;

create function semo.in_words(p_ms bigint) returns text
language sql immutable set search_path = '' as $$
    select case
        when p_ms % 3600000 = 0 then p_ms / 3600000 || ' h'
        when p_ms % 60000 = 0 then p_ms / 60000 || ' min'
        else round(p_ms / 1000.0, 1)::float8 || ' s'
    end
$$;

create function semo.is_ending(p_session_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.agent_commands c
        where c.session_id = p_session_id and c.command_type = 'terminate'
          -- One that failed is not repeated at once.
          and (c.status in ('pending', 'processing') or c.created_at > clock_timestamp() - interval '60 seconds')
    )
$$;

-- Why a spare is no good any more, as the end of a sentence; null: it is.
create function semo.spare_fault(p_session public.agent_sessions, p_max_age_ms bigint) returns text
language sql stable security definer set search_path = '' as $$
    select case
        when p_session.status = 'error' then 'had failed'
        when p_session.created_at < clock_timestamp() - make_interval(secs => p_max_age_ms / 1000.0)
            then 'was older than ' || semo.in_words(p_max_age_ms)
        when not exists (
            select 1 from public.office_hosts o
            where o.office_id = p_session.office_id and o.host_id = p_session.host_id and o.repo_path = p_session.cwd
        ) then 'was in another folder'
        when p_session.cli_version <> semo.cli_version(p_session.host_id, p_session.profile)
            then format('ran %s %s, and there is %s now', p_session.profile, p_session.cli_version,
                semo.cli_version(p_session.host_id, p_session.profile))
    end
$$;

-- What lives in an office's pool, on hosts that were seen. `surplus`: how many of the same kind rest later than it, and
-- are as many as are wanted.
create function semo.pool_sessions(p_office_id uuid)
returns table (session public.agent_sessions, surplus boolean)
language sql stable security definer set search_path = '' as $$
    select s, s.pool_state = 'spare' and coalesce(w.warm_pool_size, 0) < row_number() over (
        partition by s.pool_state, s.role, s.profile
        order by semo.is_ending(s.session_id), s.status = 'error', s.last_activity_at desc, s.session_id)
    from public.agent_sessions s
    left join public.pool_spares w on w.office_id = s.office_id and w.role = s.role and w.profile = s.profile
    where s.office_id = p_office_id and s.pool_state is not null and s.status <> 'terminated' and semo.host_is_seen(s.host_id)
$$;

-- Sessions that attempts are about to make.
create function semo.pool_reserved(p_office_id uuid, p_except uuid default null) returns integer
language sql stable security definer set search_path = '' as $$
    select count(*)::integer from public.job_attempts a
    where a.office_id = p_office_id and a.status = 'running' and a.session_id is not null and a.id is distinct from p_except
      and not exists (select 1 from public.agent_sessions s where s.session_id = a.session_id)
$$;

-- What counts to the cap.
create function semo.pool_used(p_office_id uuid, p_except uuid default null) returns integer
language sql stable security definer set search_path = '' as $$
    select semo.pool_reserved(p_office_id, p_except)
        + (select count(*)::integer from semo.pool_sessions(p_office_id) p
           where (p.session).pool_state = 'in_use' or p.surplus)
$$;

-- Ended in the name of whoever it was made for. Only a host that runs nothing of theirs any more refuses.
create function semo.end_pool_session(p_session public.agent_sessions, p_decision text, p_reason text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.write_command(gen_random_uuid(), p_session.office_id, 'terminate', '{"grace_ms": 3000}',
        p_session.session_id, null, p_session.created_by, true);
    perform semo.decide(p_session.office_id, p_session.role, p_decision, p_reason, p_session.session_id);
    return true;
exception when sqlstate 'PT403' or sqlstate 'PT409' then
    return false;
end $$;

-- How sessions enter and leave ---------------------------------------------------------------------

create function semo.enter_pool() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.cli_version := coalesce(new.cli_version, semo.cli_version(new.host_id, new.profile));
    if exists (select 1 from public.job_attempts a
               where a.session_id = new.session_id and a.office_id = new.office_id and a.status = 'running') then
        new.pool_state := 'in_use';
    end if;
    return new;
end $$;
create trigger enter_pool before insert on public.agent_sessions for each row execute function semo.enter_pool();

create function semo.is_said(p_command public.agent_commands) returns boolean
language sql immutable set search_path = '' as $$
    select p_command.command_type = 'send_prompt'
        or p_command.command_type = 'send_text' and not coalesce((p_command.payload ->> 'answer')::boolean, false)
$$;

-- A shell has nothing to read and is used again, unless nobody knows what it did for its job. Another program is, if nobody has prompted it.
create function semo.give_back(p_session_id uuid, p_attempt_id uuid default null) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_session public.agent_sessions;
    v_reason text;
begin
    select * into v_session from public.agent_sessions s where s.session_id = p_session_id for no key update;
    if v_session.pool_state is distinct from 'in_use' or v_session.status = 'terminated' then
        return v_session.pool_state;
    end if;
    v_reason := case
        when v_session.status in ('waiting_input', 'error') then 'kept: it did not come back to its prompt'
        when exists (select 1 from public.job_attempts a where a.id = p_attempt_id and a.status = 'needs_review')
            then 'kept: a person decides on its job'
        when v_session.profile <> 'shell' and exists (
            select 1 from public.agent_commands c where c.session_id = p_session_id and semo.is_said(c)
        ) then 'kept: it has held a conversation'
    end;
    update public.agent_sessions s set
        pool_state = case when v_reason is null then 'spare' else 'kept' end, last_activity_at = clock_timestamp()
    where s.session_id = p_session_id returning * into v_session;
    perform semo.decide(v_session.office_id, v_session.role, 'release',
        coalesce(v_reason, 'given back: the next job may use it'), p_session_id, p_attempt_id);
    return v_session.pool_state;
end $$;

-- Whatever ends an attempt gives its session back in the same transaction: none is ever left behind.
create function semo.leave_attempt() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.give_back(new.session_id, new.id);
    return null;
end $$;
create trigger leave_attempt after update of status on public.job_attempts
    for each row when (old.status = 'running' and new.status <> 'running' and new.session_id is not null)
    execute function semo.leave_attempt();

-- A spare that a person writes to is that person's from then on, and so is one that was dismissed. An answer to what a
-- program asks when it starts is no conversation.
create function semo.leave_spares() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if semo.is_said(new) then
        update public.agent_sessions s set pool_state = 'kept', dismissed_at = null
        where s.session_id = new.session_id and (s.pool_state = 'spare' or s.dismissed_at is not null);
    end if;
    return null;
end $$;
create trigger leave_spares after insert on public.agent_commands
    for each row when (new.command_type in ('send_prompt', 'send_text')) execute function semo.leave_spares();

-- Starts that fail in a row are tried after 2, 4, 8 … s, at last every 5 min.
create function semo.note_spare_start() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.pool_spares w set
        failures = case when new.status = 'ready' then 0 else w.failures + 1 end,
        retry_at = case when new.status <> 'ready'
            then clock_timestamp() + least(interval '300 seconds', interval '1 second' * 2 ^ least(w.failures + 1, 9)) end
    where w.office_id = new.office_id and w.role = new.role and w.profile = new.profile
      and (new.status <> 'ready' or w.failures > 0);
    return null;
end $$;
create trigger note_spare_start after update of status on public.agent_sessions
    for each row when (old.pool_state = 'spare' and old.status = 'creating' and new.status in ('ready', 'error', 'terminated'))
    execute function semo.note_spare_start();

-- A host that slept, or was away, was not idle meanwhile: in the transaction that makes its lease live again.
create function semo.forgive_absence() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.agent_sessions s set
        last_activity_at = least(clock_timestamp(), s.last_activity_at + (new.renewed_at - old.renewed_at))
    where s.host_id = new.host_id and s.pool_state in ('spare', 'kept') and s.status <> 'terminated';
    return null;
end $$;
create trigger forgive_absence after update on public.leases
    for each row when (new.renewed_at - old.renewed_at > interval '30 seconds') execute function semo.forgive_absence();

-- The server --------------------------------------------------------------------------------------

-- Why no spare could be taken, as the end of a sentence.
create function semo.why_no_spare(p_job public.job_queue, p_profile text, p_max_age_ms bigint) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
    v_spare public.agent_sessions;
    v_fault text;
begin
    select s.* into v_spare from public.agent_sessions s
    where s.office_id = p_job.office_id and s.role = p_job.role and s.pool_state = 'spare' and s.status <> 'terminated'
    order by s.profile = p_profile desc, s.created_at desc limit 1;
    if v_spare.session_id is null then
        return case
            when not exists (select 1 from public.pool_spares w
                             where w.office_id = p_job.office_id and w.role = p_job.role and w.profile = p_profile
                               and w.warm_pool_size > 0) then format('no spare %s session is wanted', p_job.role)
            when exists (select 1 from semo.pool_sessions(p_job.office_id) p
                         where (p.session).role = p_job.role and (p.session).pool_state = 'in_use')
                then format('every spare %s session is in use', p_job.role)
            else format('the spare %s session is not there yet', p_job.role)
        end;
    end if;
    v_fault := semo.spare_fault(v_spare, p_max_age_ms);
    return format('the spare %s session %s', p_job.role, case
        when v_spare.profile <> p_profile then format('runs %s, not %s', v_spare.profile, p_profile)
        when not semo.host_is_there(v_spare.host_id) then 'is on a host that is away'
        when v_fault is not null then v_fault
        when v_spare.status = 'creating' then 'is still starting'
        when not semo.runs_for(v_spare.host_id, p_job.created_by, true) then 'is on a host that does not run this author''s jobs'
        when exists (select 1 from public.job_attempts a
                     where a.session_id = v_spare.session_id and a.job_id = p_job.id and a.round = p_job.round)
            then 'has failed this job before'
        else 'is at work'
    end);
end $$;

-- The session of an attempt: the one that it has; else a ready spare of its role; else `p_new_session_id` below the cap,
-- which the caller then creates; else none, and it has to wait. A spare that has failed this job in this round is not
-- taken again.
-- Returns session_id (null: wait), create (whether it is yet to be made) and host_id (where), error (a code, when it waits)
-- and reason.
drop function public.acquire_session(uuid, bigint, uuid, text, uuid);
create function public.acquire_session(
    p_office_id uuid, p_epoch bigint, p_attempt_id uuid, p_profile text, p_new_session_id uuid
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    v_job public.job_queue;
    v_pool public.pool_settings;
    v_session_id uuid;
    v_host record;
    v_used integer;
    v_why text;
    v_error text;
begin
    if v_attempt.status <> 'running' then
        perform semo.refuse('conflict', 'The attempt has ended.');
    end if;
    if exists (select 1 from public.agent_sessions s where s.session_id = v_attempt.session_id) then
        return jsonb_build_object('session_id', v_attempt.session_id, 'create', false, 'reason', 'the attempt has it');
    end if;
    select * into strict v_job from public.job_queue j where j.id = v_attempt.job_id;
    v_pool := semo.lock_pool(p_office_id);
    -- The attempts of an office ask again and again, in no order: the most urgent that waits has the next session.
    if exists (
        select 1 from public.job_attempts a join public.job_queue j on j.id = a.job_id
        where a.office_id = p_office_id and a.status = 'running' and a.session_id is null and a.id <> p_attempt_id
          and (j.role, j.profile, j.created_by) = (v_job.role, p_profile, v_job.created_by)
          and (j.priority, j.created_at, j.id) < (v_job.priority, v_job.created_at, v_job.id)
    ) then
        v_why := format('waits: a more urgent %s job comes first', v_job.role);
        perform semo.decide(p_office_id, v_job.role, 'wait', v_why, null, p_attempt_id);
        return jsonb_build_object('session_id', null, 'create', false, 'error', 'pool_exhausted', 'reason', v_why);
    end if;
    select s.session_id into v_session_id
    from public.agent_sessions s
    where s.office_id = p_office_id and s.role = v_job.role and s.profile = p_profile
      and s.pool_state = 'spare' and s.status = 'ready' and s.active_turn_command_id is null and s.deleted_at is null
      and semo.host_is_there(s.host_id) and semo.spare_fault(s, v_pool.spare_max_age_ms) is null
      and semo.runs_for(s.host_id, v_job.created_by, true)
      and not exists (select 1 from public.agent_commands c
                      where c.session_id = s.session_id and c.status in ('pending', 'processing'))
      and not exists (select 1 from public.job_attempts a
                      where a.session_id = s.session_id
                        and (a.status = 'running' or a.job_id = v_job.id and a.round = v_job.round))
    order by s.last_activity_at, s.session_id
    limit 1 for no key update of s skip locked;
    if v_session_id is not null then
        update public.job_attempts a set session_id = v_session_id where a.id = p_attempt_id;
        update public.agent_sessions s set pool_state = 'in_use' where s.session_id = v_session_id;
        v_why := format('spare: a %s session was ready', v_job.role);
        perform semo.decide(p_office_id, v_job.role, 'spare', v_why, v_session_id, p_attempt_id);
        return jsonb_build_object('session_id', v_session_id, 'create', false, 'reason', v_why);
    end if;
    v_used := semo.pool_used(p_office_id, p_attempt_id);
    select * into v_host from semo.choose_host(p_office_id, p_profile, v_job.created_by);
    if v_host.host_id is null then
        v_error := 'host_offline';
        v_why := 'waits: no host of this office is there; start one with `semo up`';
    elsif v_used < v_pool.max_cold_sessions and not v_host.has_room then
        v_error := 'pool_exhausted';
        v_why := format('waits: %s runs %s sessions, its limit; `semo terminate` and `semo sessions dismiss` make room',
            v_host.name, v_host.max_sessions);
    elsif v_used < v_pool.max_cold_sessions then
        v_session_id := p_new_session_id;
        v_why := 'cold start: ' || semo.why_no_spare(v_job, p_profile, v_pool.spare_max_age_ms);
    else
        v_error := 'pool_exhausted';
        v_why := coalesce(semo.make_room(v_job, p_profile),
            format('waits: %s of %s cold sessions are in use', v_used, v_pool.max_cold_sessions));
    end if;
    update public.job_attempts a set session_id = v_session_id
    where a.id = p_attempt_id and a.session_id is distinct from v_session_id;
    -- A reservation is found again by its id: decided once.
    if v_attempt.session_id is null or v_error is not null then
        perform semo.decide(p_office_id, v_job.role, case when v_error is null then 'cold' else 'wait' end, v_why,
            v_session_id, p_attempt_id);
    end if;
    return jsonb_build_object('session_id', v_session_id, 'create', v_error is null, 'host_id', v_host.host_id,
        'error', v_error, 'reason', v_why);
end $$;

-- At the cap, an idle session of another kind stands in the way: the one that rests longest is ended, one at a time. Not
-- one that the job may take: it was given back at this moment, and is found by the next look.
-- Why the caller still waits; null: nothing can be ended.
create function semo.make_room(p_job public.job_queue, p_profile text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_idle public.agent_sessions;
    v_ending text;
begin
    select (p.session).role into v_ending from semo.pool_sessions(p_job.office_id) p
    where p.surplus and semo.is_ending((p.session).session_id) limit 1;
    if v_ending is null then
        select (p.session).* into v_idle from semo.pool_sessions(p_job.office_id) p
        where p.surplus and (p.session).status = 'ready' and (p.session).active_turn_command_id is null
          and not semo.has_waiting((p.session).session_id) and semo.host_is_there((p.session).host_id)
          and ((p.session).role <> p_job.role or (p.session).profile <> p_profile
               or exists (select 1 from public.job_attempts a
                          where a.session_id = (p.session).session_id and a.job_id = p_job.id and a.round = p_job.round))
        order by (p.session).last_activity_at limit 1;
        if v_idle.session_id is not null
           and semo.end_pool_session(v_idle, 'reap', format('ended an idle %s session: a job of another kind waited', v_idle.role)) then
            v_ending := v_idle.role;
        end if;
    end if;
    return case when v_ending is not null then format('waits: an idle %s session is being ended to make room', v_ending) end;
end $$;

-- Again is no error. Returns what the session is in the pool now; null: not the pool's.
create function public.release_session(p_office_id uuid, p_epoch bigint, p_session_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.require_term(p_office_id, p_epoch);
    if not exists (select 1 from public.agent_sessions s where s.session_id = p_session_id and s.office_id = p_office_id) then
        perform semo.refuse('session_not_found', 'There is no such session in this office.');
    end if;
    if exists (select 1 from public.job_attempts a where a.session_id = p_session_id and a.status = 'running') then
        perform semo.refuse('conflict', 'A job works in this session.');
    end if;
    return semo.give_back(p_session_id);
end $$;

-- Makes the spares as they are wanted: ends what is no good any more, makes what is missing. What can't be made now is
-- made later. Returns in how many ms to look again at the latest; null: when something changes.
create function public.fill_pool(p_office_id uuid, p_epoch bigint) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    v_pool public.pool_settings;
    v_wanted public.pool_spares;
    v_session public.agent_sessions;
    v_again bigint;
begin
    perform semo.require_term(p_office_id, p_epoch);
    v_pool := semo.lock_pool(p_office_id);
    for v_session in
        select s.* from semo.pool_sessions(p_office_id) p join public.agent_sessions s on s.session_id = (p.session).session_id
        where s.pool_state = 'spare' and s.status in ('ready', 'error') and s.active_turn_command_id is null
          and semo.spare_fault(s, v_pool.spare_max_age_ms) is not null and semo.host_is_there(s.host_id)
          and not semo.is_ending(s.session_id) and not semo.has_waiting(s.session_id)
        for no key update of s skip locked
    loop
        perform semo.end_pool_session(v_session, 'replace', format('ended the spare %s session: it %s',
            v_session.role, semo.spare_fault(v_session, v_pool.spare_max_age_ms)));
    end loop;
    for v_wanted in
        select * from public.pool_spares w where w.office_id = p_office_id and w.warm_pool_size > 0 order by w.role
    loop
        v_again := least(v_again, semo.fill_spares(v_wanted, v_pool));
    end loop;
    return v_again;
end $$;

-- One role of it. All together are never more than the cap and the spares: one that was taken is replaced once there is
-- room.
create function semo.fill_spares(p_wanted public.pool_spares, p_pool public.pool_settings) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    v_there integer;
    v_room integer;
    v_refusal text;
begin
    select count(*) into v_there from semo.pool_sessions(p_wanted.office_id) p
    where (p.session).pool_state = 'spare' and (p.session).role = p_wanted.role and (p.session).profile = p_wanted.profile
      and semo.spare_fault(p.session, p_pool.spare_max_age_ms) is null and not semo.is_ending((p.session).session_id);
    if v_there >= p_wanted.warm_pool_size then
        return null;
    end if;
    if p_wanted.retry_at > clock_timestamp() then
        return (extract(epoch from p_wanted.retry_at - clock_timestamp()) * 1000)::bigint + 1;
    end if;
    select p_pool.max_cold_sessions + sum(w.warm_pool_size) - semo.pool_reserved(p_wanted.office_id) into v_room
    from public.pool_spares w where w.office_id = p_wanted.office_id;
    select v_room - count(*) into v_room from semo.pool_sessions(p_wanted.office_id) p where (p.session).pool_state <> 'kept';
    for v_number in v_there .. least(p_wanted.warm_pool_size, v_there + v_room) - 1 loop
        v_refusal := semo.make_spare(p_wanted, v_number);
        if v_refusal is not null then
            perform semo.decide(p_wanted.office_id, p_wanted.role, 'wait', 'no spare could be made: ' || v_refusal);
            return 15000;
        end if;
    end loop;
    return null;
end $$;

-- Null: it is being made. Else why it can't be now: no room on the host, a breaker that is open.
create function semo.make_spare(p_wanted public.pool_spares, p_there integer) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
    v_host_id uuid;
    v_refusal text;
begin
    select h.host_id into v_host_id from semo.choose_host(p_wanted.office_id, p_wanted.profile, p_wanted.wanted_by) h;
    if v_host_id is null then
        return 'No host of this office is there. Start one with `semo up`.';
    end if;
    v_command := semo.write_command(gen_random_uuid(), p_wanted.office_id, 'create_session',
        jsonb_build_object('profile', p_wanted.profile, 'role', p_wanted.role, 'host_id', v_host_id),
        null, null, p_wanted.wanted_by, true);
    update public.agent_sessions s set pool_state = 'spare' where s.session_id = v_command.session_id;
    perform semo.decide(p_wanted.office_id, p_wanted.role, 'fill',
        format('made a spare: %s of %s %s sessions were there', p_there, p_wanted.warm_pool_size, p_wanted.role),
        v_command.session_id);
    return null;
exception when sqlstate 'PT403' or sqlstate 'PT409' then
    get stacked diagnostics v_refusal = pg_exception_detail;
    return v_refusal;
end $$;

-- Ends what rested longer than the idle timeout: spares beyond those that are wanted, and what was dismissed. Returns how
-- many.
create function public.reap_pool(p_office_id uuid, p_epoch bigint) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_pool public.pool_settings;
    v_session public.agent_sessions;
    v_count integer := 0;
begin
    perform semo.require_term(p_office_id, p_epoch);
    v_pool := semo.lock_pool(p_office_id);
    for v_session in
        select s.* from semo.pool_sessions(p_office_id) p join public.agent_sessions s on s.session_id = (p.session).session_id
        where (p.surplus and s.status = 'ready' or s.pool_state = 'kept' and s.dismissed_at is not null and s.status <> 'executing')
          and s.active_turn_command_id is null
          and s.last_activity_at < clock_timestamp() - make_interval(secs => v_pool.idle_timeout_ms / 1000.0)
          and semo.host_is_there(s.host_id) and not semo.is_ending(s.session_id) and not semo.has_waiting(s.session_id)
        for no key update of s skip locked
    loop
        v_count := v_count + semo.end_pool_session(v_session, 'reap', case
            when v_session.dismissed_at is not null then format('ended a %s session: it was dismissed', v_session.role)
            else format('ended a %s session: it was idle for %s', v_session.role, semo.in_words(v_pool.idle_timeout_ms))
        end)::integer;
    end loop;
    return v_count;
end $$;

-- Operators ---------------------------------------------------------------------------------------

-- What is left out stays as it is. p_spares: [{role, warm_pool_size, profile}], a profile that is left out stays, or is shell.
create function public.set_pool(
    p_office_id uuid, p_spares jsonb default '[]', p_max_cold_sessions integer default null,
    p_idle_timeout_ms bigint default null, p_spare_max_age_ms bigint default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_pool public.pool_settings;
    v_one record;
    v_unknown text;
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can set its pool.');
    end if;
    if p_max_cold_sessions not between 0 and 500 then
        perform semo.refuse('invalid_payload', 'The pool starts 0 to 500 cold sessions.');
    end if;
    if p_idle_timeout_ms not between 1000 and 604800000 then
        perform semo.refuse('invalid_payload', 'The idle timeout is 1 second to 7 days.');
    end if;
    if p_spare_max_age_ms not between 60000 and 2592000000 then
        perform semo.refuse('invalid_payload', 'A spare session lasts 1 minute to 30 days.');
    end if;
    v_pool := semo.lock_pool(p_office_id);
    for v_one in
        select * from jsonb_to_recordset(p_spares) as r (role text, warm_pool_size integer, profile text) order by r.role
    loop
        if v_one.warm_pool_size is null or v_one.warm_pool_size not between 0 and 50 then
            perform semo.refuse('invalid_payload', format('A role has 0 to 50 spare sessions, not %s.', v_one.warm_pool_size));
        end if;
        if coalesce(length(v_one.role), 0) not between 1 and 40 then
            perform semo.refuse('invalid_payload', 'A role has 1 to 40 characters.');
        end if;
        if v_one.warm_pool_size > 0 and not v_one.role = any (semo.pool_roles(p_office_id)) then
            perform semo.refuse('invalid_payload', format('Nobody in this office is %s. There are: %s.',
                v_one.role, array_to_string(semo.pool_roles(p_office_id), ', ')));
        end if;
        if length(coalesce(v_one.profile, 'shell')) not between 1 and 40 then
            perform semo.refuse('invalid_payload', 'A profile''s name has 1 to 40 characters.');
        end if;
        insert into public.pool_spares as w (office_id, role, profile, warm_pool_size, wanted_by)
        values (p_office_id, v_one.role, coalesce(v_one.profile, 'shell'), v_one.warm_pool_size, auth.uid())
        on conflict (office_id, role) do update set
            profile = coalesce(v_one.profile, w.profile), warm_pool_size = excluded.warm_pool_size,
            wanted_by = excluded.wanted_by, failures = 0, retry_at = null;
    end loop;
    update public.pool_settings p set
        max_cold_sessions = coalesce(p_max_cold_sessions, p.max_cold_sessions),
        idle_timeout_ms = coalesce(p_idle_timeout_ms, p.idle_timeout_ms),
        spare_max_age_ms = coalesce(p_spare_max_age_ms, p.spare_max_age_ms)
    where p.office_id = p_office_id;
    return public.pool_status(p_office_id);
end $$;

-- A label that nobody has is most likely a typing error.
create function semo.pool_roles(p_office_id uuid) returns text[]
language sql stable security definer set search_path = '' as $$
    select array(
        select p.role from public.agent_personas p where p.office_id is null or p.office_id = p_office_id
        union select a.role from public.office_agents a where a.office_id = p_office_id and a.deleted_at is null
        union select j.role from public.job_queue j where j.office_id = p_office_id
        union select s.role from public.agent_sessions s where s.office_id = p_office_id and s.status <> 'terminated'
        order by 1)
$$;

-- All of the pool as of one moment. `lost`: sessions on hosts that were not seen for 30 s.
create function public.pool_status(p_office_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_pool public.pool_settings;
    v_roles jsonb;
begin
    if not semo.can_read(p_office_id) then
        perform semo.refuse('forbidden', 'Only members of this office can see its pool.');
    end if;
    select * into v_pool from public.pool_settings p where p.office_id = p_office_id;
    with live as (
        select s.role, s.pool_state, s.status, semo.host_is_seen(s.host_id) as seen from public.agent_sessions s
        where s.office_id = p_office_id and s.pool_state is not null and s.status <> 'terminated'
    ), reserved as (
        select j.role from public.job_attempts a join public.job_queue j on j.id = a.job_id
        where a.office_id = p_office_id and a.status = 'running' and a.session_id is not null
          and not exists (select 1 from public.agent_sessions s where s.session_id = a.session_id)
    ), known as (
        select w.role from public.pool_spares w where w.office_id = p_office_id and w.warm_pool_size > 0
        union select role from live union select role from reserved
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'role', k.role,
        'profile', coalesce(w.profile, 'shell'),
        'wanted', coalesce(w.warm_pool_size, 0),
        'spares', (select count(*) from live l where l.role = k.role and l.seen and l.pool_state = 'spare' and l.status = 'ready'),
        'starting', (select count(*) from live l where l.role = k.role and l.seen
                     and (l.pool_state = 'spare' and l.status <> 'ready' or l.pool_state = 'in_use' and l.status = 'creating'))
            + (select count(*) from reserved r where r.role = k.role),
        'in_use', (select count(*) from live l where l.role = k.role and l.seen and l.pool_state = 'in_use' and l.status <> 'creating'),
        'kept', (select count(*) from live l where l.role = k.role and l.seen and l.pool_state = 'kept'),
        'lost', (select count(*) from live l where l.role = k.role and not l.seen),
        'last', (select to_jsonb(d) from public.pool_decisions d
                 where d.office_id = p_office_id and d.role = k.role order by d.id desc limit 1)
    ) order by k.role), '[]') into v_roles
    from known k left join public.pool_spares w on w.office_id = p_office_id and w.role = k.role;
    return jsonb_build_object(
        'office_id', p_office_id, 'cap', v_pool.max_cold_sessions, 'used', semo.pool_used(p_office_id),
        'idle_timeout_ms', v_pool.idle_timeout_ms, 'spare_max_age_ms', v_pool.spare_max_age_ms, 'roles', v_roles,
        'last', (select to_jsonb(d) from public.pool_decisions d where d.office_id = p_office_id order by d.id desc limit 1));
end $$;

-- A person has read it: the pool may end it. Again is no error.
create function public.dismiss_session(p_session_id uuid) returns public.agent_sessions
language plpgsql security definer set search_path = '' as $$
declare
    v_session public.agent_sessions;
begin
    select * into v_session from public.agent_sessions s where s.session_id = p_session_id for no key update;
    if v_session.session_id is null or not semo.can_operate(v_session.office_id) then
        perform semo.refuse('session_not_found', 'There is no such session that you may dismiss.');
    end if;
    if v_session.status = 'terminated' then
        perform semo.refuse('session_exited', 'The session has ended.');
    end if;
    if v_session.pool_state is null then
        perform semo.refuse('conflict', 'This session is a person''s own; `semo terminate` ends it.');
    end if;
    if v_session.pool_state <> 'kept' then
        perform semo.refuse('conflict', case v_session.pool_state
            when 'in_use' then 'A job works in this session.' else 'This session is a spare; the pool ends it by itself.' end);
    end if;
    update public.agent_sessions s set dismissed_at = coalesce(s.dismissed_at, clock_timestamp())
    where s.session_id = p_session_id returning * into v_session;
    return v_session;
end $$;

-- What a lost host has left behind: its sessions are said to have ended. Returns how many.
create function public.forget_sessions(p_office_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_session record;
    v_count integer := 0;
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can forget its sessions.');
    end if;
    for v_session in
        select s.session_id, h.name, coalesce(l.renewed_at, s.created_at) as seen_at
        from public.agent_sessions s join public.agent_hosts h on h.id = s.host_id
        left join public.leases l on l.host_id = s.host_id
        where s.office_id = p_office_id and s.status <> 'terminated'
          and coalesce(l.expires_at, s.created_at) < clock_timestamp() - interval '10 minutes'
        order by s.session_id for no key update of s
    loop
        perform semo.apply_session_report(v_session.session_id, jsonb_build_object(
            'status', 'terminated', 'status_source', 'request',
            'reason', format('Forgotten: its host %s was not seen since %s.', v_session.name,
                to_char(v_session.seen_at at time zone 'utc', 'YYYY-MM-DD HH24:MI "UTC"'))));
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Rights ------------------------------------------------------------------------------------------

alter table public.pool_settings enable row level security;
alter table public.pool_spares enable row level security;
alter table public.pool_decisions enable row level security;
revoke all on public.pool_settings, public.pool_spares, public.pool_decisions from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.pool_settings, public.pool_spares, public.pool_decisions to service_role;
grant select on public.pool_settings, public.pool_spares, public.pool_decisions to authenticated;

create policy "members read the pool's settings" on public.pool_settings
    for select to authenticated using (semo.can_read(office_id));
create policy "members read the spares that are wanted" on public.pool_spares
    for select to authenticated using (semo.can_read(office_id));
create policy "members read what the pool decided" on public.pool_decisions
    for select to authenticated using (semo.can_read(office_id));

revoke all on function semo.open_pool(), semo.hint_decision(), semo.guard_pool_state(), semo.guard_decision(), semo.lock_pool(uuid),
    semo.decide(uuid, text, text, text, uuid, uuid), semo.host_is_seen(uuid), semo.host_is_there(uuid),
    semo.choose_host(uuid, text, uuid), semo.cli_version(uuid, text), semo.in_words(bigint), semo.is_ending(uuid), semo.spare_fault(public.agent_sessions, bigint),
    semo.pool_sessions(uuid), semo.pool_reserved(uuid, uuid), semo.pool_used(uuid, uuid),
    semo.end_pool_session(public.agent_sessions, text, text), semo.enter_pool(), semo.is_said(public.agent_commands), semo.give_back(uuid, uuid),
    semo.leave_attempt(), semo.leave_spares(), semo.note_spare_start(), semo.forgive_absence(),
    semo.why_no_spare(public.job_queue, text, bigint), semo.make_room(public.job_queue, text),
    semo.fill_spares(public.pool_spares, public.pool_settings), semo.make_spare(public.pool_spares, integer), semo.pool_roles(uuid)
    from public, anon, authenticated, service_role;

revoke all on function
    public.acquire_session(uuid, bigint, uuid, text, uuid), public.release_session(uuid, bigint, uuid),
    public.fill_pool(uuid, bigint), public.reap_pool(uuid, bigint),
    public.set_pool(uuid, jsonb, integer, bigint, bigint), public.pool_status(uuid), public.dismiss_session(uuid),
    public.forget_sessions(uuid)
    from public, anon, authenticated, service_role;
grant execute on function
    public.acquire_session(uuid, bigint, uuid, text, uuid), public.release_session(uuid, bigint, uuid),
    public.fill_pool(uuid, bigint), public.reap_pool(uuid, bigint),
    public.set_pool(uuid, jsonb, integer, bigint, bigint), public.pool_status(uuid), public.dismiss_session(uuid),
    public.forget_sessions(uuid)
    to authenticated;

do $$
declare
    v_table text;
begin
    foreach v_table in array array['pool_settings', 'pool_spares', 'pool_decisions'] loop
        if not exists (select 1 from pg_publication_tables
                       where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = v_table) then
            execute format('alter publication supabase_realtime add table public.%I', v_table);
        end if;
    end loop;
end $$;
