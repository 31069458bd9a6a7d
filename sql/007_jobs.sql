-- Jobs: work with a goal, done by prompts, under the office's one leading server.
--
--   pending ──every dependency done──► ready ──attempt──► processing ──► done | failed | needs_review | cancelled
--                                        ▲                    │
--                                        ├──── tried again ───┘
--                                        └──── retried by hand ◄── failed | needs_review | cancelled
--
-- The server is a member of the office with the role `server`: it reads what a viewer reads, and acts only through the
-- functions below that take an epoch. The epoch is the number of its term; a server that was deposed is refused.
-- Locks are taken in one order: the office's lease, the job, the attempt, the session, the command.

alter table public.office_members drop constraint office_members_role_check;
alter table public.office_members add constraint office_members_role_check
    check (role in ('viewer', 'operator', 'admin', 'server'));
comment on table public.office_members is 'viewer reads, operator sends, admin changes the office, server runs its jobs.';

-- Tables ------------------------------------------------------------------------------------------

create table public.office_leases (
    office_id    uuid primary key references public.offices (id) on delete cascade,
    epoch        bigint not null default 1,
    instance_id  uuid,
    user_id      uuid not null,
    acquired_at  timestamptz not null default clock_timestamp(),
    renewed_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null
);
comment on table public.office_leases is 'The one server process that leads an office. Not published: it changes every few seconds.';
comment on column public.office_leases.instance_id is 'Null: the last leader has left.';

alter table public.job_queue
    add column round integer not null default 1,
    add column not_before timestamptz,
    add column cancel_requested_at timestamptz,
    add column error text,
    add column reason text;
comment on column public.job_queue.round is 'Counts the retries by hand; what is tried again by itself is counted within a round.';
comment on column public.job_queue.reason is 'Why it failed or was given up, as a sentence; error is one of the closed set of codes, where there is one.';
alter table public.job_queue add constraint job_queue_completed
    check ((status in ('done', 'failed', 'cancelled')) = (completed_at is not null));
create index job_queue_depends_on on public.job_queue using gin (depends_on);

create table public.job_attempts (
    id           uuid primary key default gen_random_uuid(),
    job_id       uuid not null references public.job_queue (id) on delete cascade,
    office_id    uuid not null references public.offices (id) on delete cascade,
    attempt      integer not null,
    round        integer not null,
    epoch        bigint not null,
    status       text not null default 'running' check (status in ('running', 'done', 'failed', 'cancelled')),
    session_id   uuid,
    command_id   uuid unique,
    error        text,
    reason       text,
    evidence     jsonb not null default '{}' check (jsonb_typeof(evidence) = 'object'),
    started_at   timestamptz not null default clock_timestamp(),
    finished_at  timestamptz,
    updated_at   timestamptz not null default now(),
    version      bigint not null default 0,
    unique (job_id, attempt),
    check ((status = 'running') = (finished_at is null)),
    check (status <> 'done' or error is null)
);
comment on table public.job_attempts is 'Every try of a job, with its session, its prompt and what it ended with.';
comment on column public.job_attempts.session_id is 'May name a session that is about to be made, so it references nothing.';
create index job_attempts_office_id on public.job_attempts (office_id);
create unique index job_attempts_one_running on public.job_attempts (job_id) where status = 'running';
-- Two jobs never share a session at the same time.
create unique index job_attempts_one_in_session on public.job_attempts (session_id) where status = 'running';

create trigger touch before insert or update on public.job_attempts for each row execute function semo.touch();
create trigger hint after insert or update on public.job_attempts for each row execute function semo.hint('id', 'office_id');

-- What may change ---------------------------------------------------------------------------------

create function semo.guard_job() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_next text[] := case old.status
        when 'pending' then array['ready', 'cancelled']
        when 'ready' then array['processing', 'cancelled']
        when 'processing' then array['ready', 'done', 'failed', 'needs_review', 'cancelled']
        when 'done' then '{}'
        else array['pending', 'ready', 'cancelled']
    end;
begin
    if new.status <> old.status and new.status <> all (v_next) then
        perform semo.refuse('conflict', format('A job does not go from %s to %s.', old.status, new.status));
    end if;
    return new;
end $$;
create trigger guard before update on public.job_queue for each row execute function semo.guard_job();

-- A job that waits for itself, by whatever way, would wait for ever.
create function semo.guard_dependencies() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (
        with recursive upstream as (
            select unnest(new.depends_on) as id
            union
            select unnest(j.depends_on) from public.job_queue j join upstream u on j.id = u.id
        )
        select 1 from upstream u where u.id = new.id
    ) then
        perform semo.refuse('invalid_payload', 'A job can''t wait for itself, nor for one that waits for it.');
    end if;
    return new;
end $$;
create trigger guard_dependencies before insert or update of depends_on on public.job_queue
    for each row execute function semo.guard_dependencies();

create function semo.guard_attempt() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if old.status <> 'running' then
        perform semo.refuse('conflict', 'A finished attempt does not change.');
    end if;
    return new;
end $$;
create trigger guard before update on public.job_attempts for each row execute function semo.guard_attempt();

-- Shared steps ------------------------------------------------------------------------------------

create function semo.dependencies_done(p_depends_on uuid[]) returns boolean
language sql stable security definer set search_path = '' as $$
    select not exists (
        select 1 from unnest(p_depends_on) d (id) left join public.job_queue j on j.id = d.id
        where j.status is distinct from 'done'
    )
$$;

-- The job of an operator, locked. What it may not see is the same as what is not there.
create function semo.operated_job(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
begin
    select * into v_job from public.job_queue j where j.id = p_id for update;
    if v_job.id is null or not semo.can_operate(v_job.office_id) then
        perform semo.refuse('forbidden', 'There is no such job that you may change.');
    end if;
    return v_job;
end $$;

-- The caller is this office's server, and this is its term. The lock makes a take-over wait until the caller's
-- transaction has ended, and the caller's next one see the take-over.
create function semo.require_term(p_office_id uuid, p_epoch bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_lease public.office_leases;
begin
    if semo.member_role(p_office_id) is distinct from 'server' then
        perform semo.refuse('forbidden', 'Only a server of this office may do this.');
    end if;
    select * into v_lease from public.office_leases l where l.office_id = p_office_id for share;
    if v_lease.epoch is distinct from p_epoch or v_lease.instance_id is null or v_lease.user_id <> auth.uid() then
        perform semo.refuse('superseded', 'Another server leads this office now.');
    end if;
end $$;

-- A running attempt of the leader, locked after its job.
create function semo.led_attempt(p_office_id uuid, p_epoch bigint, p_attempt_id uuid) returns public.job_attempts
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts;
begin
    perform semo.require_term(p_office_id, p_epoch);
    perform 1 from public.job_queue j
    where j.id = (select a.job_id from public.job_attempts a where a.id = p_attempt_id) for update;
    select * into v_attempt from public.job_attempts a
    where a.id = p_attempt_id and a.office_id = p_office_id for update;
    if v_attempt.id is null then
        perform semo.refuse('conflict', 'There is no such attempt in this office.');
    end if;
    return v_attempt;
end $$;

-- Whose commands a host runs: its owner's always, other people's and their jobs by the host's own rule.
create function semo.runs_for(p_host_id uuid, p_author uuid, p_is_job boolean) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.agent_hosts h
        where h.id = p_host_id
          and (h.owner_id = p_author or h.runs_for = 'operators' or p_is_job and h.runs_for = 'jobs')
    )
$$;

-- Writes a command in somebody's name; the caller has checked the right to. The same id with the same content returns
-- the row: a lost answer can be asked again.
create function semo.write_command(
    p_id uuid, p_office_id uuid, p_command_type text, p_payload jsonb, p_session_id uuid, p_start_by_ms bigint,
    p_author uuid, p_is_job boolean
) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
    v_session public.agent_sessions;
    v_place public.office_hosts;
    -- A prompt waits until the session is ready, however long that takes; the rest is worth nothing late.
    v_start_ms bigint := coalesce(p_start_by_ms, case when p_command_type <> 'send_prompt' then 300000 end);
begin
    select * into v_command from public.agent_commands c where c.id = p_id;
    if v_command.id is not null then
        if (v_command.office_id, v_command.command_type, v_command.payload, v_command.created_by)
           is distinct from (p_office_id, p_command_type, p_payload, p_author)
           or p_session_id is not null and p_session_id <> v_command.session_id then
            perform semo.refuse('conflict', 'This command id was used before with another content.');
        end if;
        return v_command;
    end if;
    perform semo.check_payload(p_command_type, p_payload);

    if p_command_type = 'create_session' then
        v_place := semo.place_session(p_office_id, (p_payload ->> 'host_id')::uuid);
        insert into public.agent_sessions (session_id, office_id, host_id, role, profile, cwd, created_by)
        values (coalesce(p_session_id, gen_random_uuid()), p_office_id, v_place.host_id, coalesce(p_payload ->> 'role', 'shell'),
                p_payload ->> 'profile', coalesce(p_payload ->> 'cwd', v_place.repo_path), p_author)
        returning * into v_session;
    else
        -- The lock makes the order of `sequence` the order of commits: a later number is never seen before an earlier one.
        select * into v_session from public.agent_sessions s
        where s.session_id = p_session_id and s.office_id = p_office_id and s.deleted_at is null for no key update;
        if v_session.session_id is null then
            perform semo.refuse('session_not_found', 'There is no such session in this office.');
        end if;
        if v_session.status = 'terminated' and p_command_type <> 'get_output' then
            perform semo.refuse('session_exited', 'The session has ended.');
        end if;
    end if;
    if not semo.runs_for(v_session.host_id, p_author, p_is_job) then
        perform semo.refuse('forbidden', 'This host runs the commands of its owner only.');
    end if;

    insert into public.agent_commands (id, office_id, session_id, host_id, command_type, payload, urgent, start_by, created_by)
    values (p_id, p_office_id, v_session.session_id, v_session.host_id, p_command_type, p_payload,
            p_command_type in ('cancel', 'terminate', 'get_output')
                or p_command_type = 'send_text' and coalesce((p_payload ->> 'answer')::boolean, false),
            clock_timestamp() + make_interval(secs => v_start_ms / 1000.0), p_author)
    returning * into v_command;
    perform semo.record_event(v_command, 'queued', case when p_is_job then 'system' else 'operator' end, null);
    return v_command;
exception when unique_violation then
    -- Two callers with one id at the same moment: the second finds the row of the first.
    select * into v_command from public.agent_commands c
    where c.id = p_id and c.office_id = p_office_id and c.command_type = p_command_type
      and c.payload = p_payload and c.created_by = p_author;
    if v_command.id is null then
        perform semo.refuse('conflict', 'This command or session id was used before with another content.');
    end if;
    return v_command;
end $$;

create or replace function public.create_command(
    p_id uuid, p_office_id uuid, p_command_type text, p_payload jsonb default '{}',
    p_session_id uuid default null, p_start_by_ms bigint default null
) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can send.');
    end if;
    return semo.write_command(p_id, p_office_id, p_command_type, p_payload, p_session_id, p_start_by_ms, auth.uid(), false);
end $$;

drop function semo.runs_for_caller(uuid);

-- Operators ---------------------------------------------------------------------------------------

-- The client makes the id. The same id with the same content returns the row. Every dependency is there already, so no
-- circle can come to be.
create function public.create_job(
    p_id uuid, p_office_id uuid, p_role text, p_title text, p_description text,
    p_depends_on uuid[] default '{}', p_priority integer default 100
) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
    v_depends_on uuid[] := array(select distinct d from unnest(p_depends_on) d order by d);
    v_unknown uuid;
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can add jobs.');
    end if;
    if length(p_role) not between 1 and 40 or btrim(p_title, E' \t\r\n') = '' or length(p_title) > 200 then
        perform semo.refuse('invalid_payload', 'A job needs a role of 1 to 40 characters and a title of 1 to 200.');
    end if;
    if btrim(p_description, E' \t\r\n') = '' then
        perform semo.refuse('invalid_payload', 'The description is empty.');
    end if;
    if octet_length(p_description) > 262144 then
        perform semo.refuse('invalid_payload', format('The description has %s bytes; at most 262144 can be sent at once. Put it into a file and name the file.',
            octet_length(p_description)));
    end if;
    if p_id = any (v_depends_on) then
        perform semo.refuse('invalid_payload', 'A job can''t wait for itself, nor for one that waits for it.');
    end if;
    -- Their locks, in one order: one that is just being done is seen done here, or sees this job when it looks for
    -- what waits for it.
    perform 1 from public.job_queue j where j.id = any (v_depends_on) and j.office_id = p_office_id order by j.id for share;
    select d into v_unknown from unnest(v_depends_on) d
    where not exists (select 1 from public.job_queue j where j.id = d and j.office_id = p_office_id) limit 1;
    if v_unknown is not null then
        perform semo.refuse('invalid_payload', format('There is no job %s in this office to wait for.', v_unknown));
    end if;
    insert into public.job_queue (id, office_id, agent_id, role, title, description, status, depends_on, priority, created_by)
    values (p_id, p_office_id, semo.least_busy_agent(p_office_id, p_role), p_role, p_title, p_description,
            case when semo.dependencies_done(v_depends_on) then 'ready' else 'pending' end,
            v_depends_on, p_priority, auth.uid())
    on conflict (id) do nothing returning * into v_job;
    if v_job.id is null then
        select * into v_job from public.job_queue j where j.id = p_id;
        if (v_job.office_id, v_job.role, v_job.title, v_job.description, v_job.depends_on, v_job.priority, v_job.created_by)
           is distinct from (p_office_id, p_role, p_title, p_description, v_depends_on, p_priority, auth.uid()) then
            perform semo.refuse('conflict', 'This job id was used before with another content.');
        end if;
    end if;
    return v_job;
end $$;

create function semo.least_busy_agent(p_office_id uuid, p_role text) returns uuid
language sql stable security definer set search_path = '' as $$
    select a.id from public.office_agents a
    left join public.job_queue j on j.agent_id = a.id and j.status in ('pending', 'ready', 'processing')
    where a.office_id = p_office_id and a.role = p_role and a.deleted_at is null
    group by a.id, a.created_at
    order by count(j.id), a.created_at, a.id limit 1
$$;

-- A job that has not begun ends here and now. Of one that runs, a prompt that nobody has claimed is taken back; the
-- leader stops the rest.
create function public.cancel_job(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue := semo.operated_job(p_id);
    v_prompt public.agent_commands;
begin
    if v_job.status = 'cancelled' then
        return v_job;
    end if;
    if v_job.status = 'done' then
        perform semo.refuse('conflict', 'The job is done.');
    end if;
    if v_job.status <> 'processing' then
        update public.job_queue j set
            status = 'cancelled', error = 'cancelled', reason = 'Cancelled by hand.', not_before = null,
            completed_at = clock_timestamp()
        where j.id = p_id returning * into v_job;
        return v_job;
    end if;
    update public.job_queue j set cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp())
    where j.id = p_id returning * into v_job;
    select c.* into v_prompt from public.job_attempts a join public.agent_commands c on c.id = a.command_id
    where a.job_id = p_id and a.status = 'running' and c.status = 'pending' for update of c;
    if v_prompt.id is not null then
        perform semo.finish_command(v_prompt, 'operator', false, null, 'cancelled', 'Taken back before it began.', null);
    end if;
    return v_job;
end $$;

create function public.retry_job(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue := semo.operated_job(p_id);
begin
    if v_job.status not in ('failed', 'needs_review', 'cancelled') then
        perform semo.refuse('conflict', format('The job is %s; only one that failed or was cancelled can be retried.', v_job.status));
    end if;
    perform 1 from public.job_queue j where j.id = any (v_job.depends_on) order by j.id for share;
    update public.job_queue j set
        status = case when semo.dependencies_done(j.depends_on) then 'ready' else 'pending' end,
        round = j.round + 1, cancel_requested_at = null, not_before = null, error = null, reason = null, completed_at = null
    where j.id = p_id returning * into v_job;
    return v_job;
end $$;

create function public.admit_server(p_office_id uuid, p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not semo.can_administer(p_office_id) then
        perform semo.refuse('forbidden', 'Only an admin of the office can admit a server.');
    end if;
    insert into public.office_members (office_id, user_id, role) values (p_office_id, p_user_id, 'server')
    on conflict (office_id, user_id) do nothing;
    if not exists (select 1 from public.office_members m
                   where m.office_id = p_office_id and m.user_id = p_user_id and m.role = 'server') then
        perform semo.refuse('conflict', 'A server needs an identity of its own: this one is a person''s.');
    end if;
end $$;

-- The server --------------------------------------------------------------------------------------

-- Takes the office if nobody leads it, renews what the caller holds, and says who leads. Each new term has a new epoch.
create function public.take_office(p_office_id uuid, p_instance uuid, p_ttl_ms integer default 10000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_lease public.office_leases;
    v_until timestamptz := clock_timestamp() + make_interval(secs => p_ttl_ms / 1000.0);
begin
    if semo.member_role(p_office_id) is distinct from 'server' then
        perform semo.refuse('forbidden', 'Only a server of this office may do this.');
    end if;
    if p_instance is null or p_ttl_ms not between 1000 and 60000 then
        perform semo.refuse('invalid_payload', 'A lease has a holder and lasts 1 to 60 seconds.');
    end if;
    insert into public.office_leases as l (office_id, instance_id, user_id, expires_at)
    values (p_office_id, p_instance, auth.uid(), v_until)
    on conflict (office_id) do update set
        epoch = case when l.instance_id = excluded.instance_id then l.epoch else l.epoch + 1 end,
        acquired_at = case when l.instance_id = excluded.instance_id then l.acquired_at else clock_timestamp() end,
        instance_id = excluded.instance_id, user_id = excluded.user_id,
        renewed_at = clock_timestamp(), expires_at = excluded.expires_at
    where l.instance_id is null or l.instance_id = excluded.instance_id and l.user_id = excluded.user_id
        or l.expires_at < clock_timestamp();
    select * into strict v_lease from public.office_leases l where l.office_id = p_office_id;
    return jsonb_build_object(
        'epoch', v_lease.epoch, 'instance_id', v_lease.instance_id,
        'remaining_ms', greatest(0, (extract(epoch from v_lease.expires_at - clock_timestamp()) * 1000)::bigint));
end $$;

-- The next server need not wait for the lease to run out.
create function public.leave_office(p_office_id uuid, p_epoch bigint) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.require_term(p_office_id, p_epoch);
    update public.office_leases l set instance_id = null, expires_at = clock_timestamp() where l.office_id = p_office_id;
end $$;

-- What the leader has to do, most urgent first: jobs that run, and jobs that may begin in so many ms.
create function public.open_jobs(p_office_id uuid, p_epoch bigint)
returns table (job public.job_queue, due_in_ms bigint)
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.require_term(p_office_id, p_epoch);
    return query
        select j, greatest(0, coalesce((extract(epoch from j.not_before - clock_timestamp()) * 1000)::bigint, 0))
        from public.job_queue j
        where j.office_id = p_office_id and j.status in ('ready', 'processing')
        order by j.status = 'processing' desc, j.priority, j.created_at, j.id
        limit 200;
end $$;

-- The attempt that runs, or a new one of a job that is ready.
create function public.begin_attempt(p_office_id uuid, p_epoch bigint, p_job_id uuid) returns public.job_attempts
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
    v_attempt public.job_attempts;
begin
    perform semo.require_term(p_office_id, p_epoch);
    select * into v_job from public.job_queue j where j.id = p_job_id and j.office_id = p_office_id for update;
    if v_job.status = 'processing' then
        select * into strict v_attempt from public.job_attempts a where a.job_id = p_job_id and a.status = 'running';
        return v_attempt;
    end if;
    if v_job.status is distinct from 'ready' then
        perform semo.refuse('conflict', 'The job is not ready.');
    end if;
    insert into public.job_attempts (job_id, office_id, attempt, round, epoch)
    select p_job_id, p_office_id, coalesce(max(a.attempt), 0) + 1, v_job.round, p_epoch
    from public.job_attempts a where a.job_id = p_job_id
    returning * into v_attempt;
    update public.job_queue j set
        status = 'processing', started_at = coalesce(j.started_at, clock_timestamp()), not_before = null,
        error = null, reason = null
    where j.id = p_job_id;
    update public.office_agents a set status = 'working', current_task = v_job.title where a.id = v_job.agent_id;
    return v_attempt;
end $$;

-- The session of an attempt: the one that it has, else an idle one of the job's role, else `p_new_session_id`, which the
-- caller then creates. One that has failed this job in this round is not taken again.
create function public.acquire_session(
    p_office_id uuid, p_epoch bigint, p_attempt_id uuid, p_profile text, p_new_session_id uuid
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    v_job public.job_queue;
    v_session_id uuid;
begin
    if exists (select 1 from public.agent_sessions s where s.session_id = v_attempt.session_id) then
        return v_attempt.session_id;
    end if;
    select * into strict v_job from public.job_queue j where j.id = v_attempt.job_id;
    select s.session_id into v_session_id
    from public.agent_sessions s join public.leases l using (host_id)
    where s.office_id = p_office_id and s.role = v_job.role and s.profile = p_profile and s.status = 'ready'
      and s.active_turn_command_id is null and s.deleted_at is null and l.expires_at > clock_timestamp()
      and semo.runs_for(s.host_id, v_job.created_by, true)
      and not exists (select 1 from public.agent_commands c
                      where c.session_id = s.session_id and c.status in ('pending', 'processing'))
      and not exists (select 1 from public.job_attempts a
                      where a.session_id = s.session_id
                        and (a.status = 'running' or a.job_id = v_job.id and a.round = v_job.round))
    order by s.last_activity_at, s.session_id
    limit 1 for no key update of s skip locked;
    begin
        update public.job_attempts a set session_id = coalesce(v_session_id, p_new_session_id) where a.id = p_attempt_id;
    exception when unique_violation then
        -- Another attempt took it after this statement had begun to look.
        v_session_id := null;
        update public.job_attempts a set session_id = p_new_session_id where a.id = p_attempt_id;
    end;
    return coalesce(v_session_id, p_new_session_id);
end $$;

-- A command of an attempt, in the name of whoever added the job and for the attempt's session alone. An attempt has one
-- prompt: a second one with another id is refused, and so is the first once the job is to be cancelled.
create function public.create_job_command(
    p_attempt_id uuid, p_epoch bigint, p_id uuid, p_office_id uuid, p_command_type text, p_payload jsonb,
    p_session_id uuid, p_start_by_ms bigint default null
) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    v_job public.job_queue;
begin
    if v_attempt.status <> 'running' or p_session_id is distinct from v_attempt.session_id then
        perform semo.refuse('conflict', 'The attempt has ended, or has another session.');
    end if;
    if p_command_type not in ('create_session', 'send_prompt', 'cancel') then
        perform semo.refuse('forbidden', 'A job creates its session, sends its prompt and cancels it.');
    end if;
    select * into strict v_job from public.job_queue j where j.id = v_attempt.job_id;
    if p_command_type = 'send_prompt' and v_attempt.command_id is null then
        if v_job.cancel_requested_at is not null then
            perform semo.refuse('cancelled', 'The job was cancelled before its prompt was sent.');
        end if;
        update public.job_attempts a set command_id = p_id where a.id = p_attempt_id;
    elsif p_command_type = 'send_prompt' and v_attempt.command_id <> p_id then
        perform semo.refuse('conflict', 'The attempt has sent its prompt.');
    end if;
    return semo.write_command(p_id, p_office_id, p_command_type, p_payload, p_session_id, p_start_by_ms, v_job.created_by, true);
end $$;

-- How an attempt ended. `p_retry_in_ms`: a failed one is tried again so much later; null: the job has failed. Again is no
-- error. What waited for a job that is done becomes ready; what waits for a failed one goes on waiting.
create function public.finish_attempt(
    p_office_id uuid, p_epoch bigint, p_attempt_id uuid, p_status text, p_error text default null, p_reason text default null,
    p_evidence jsonb default '{}', p_retry_in_ms bigint default null
) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    v_job public.job_queue;
    v_status text;
begin
    select * into strict v_job from public.job_queue j where j.id = v_attempt.job_id;
    if v_attempt.status <> 'running' then
        return v_job;
    end if;
    if p_status not in ('done', 'failed', 'cancelled') then
        perform semo.refuse('invalid_payload', 'An attempt ends done, failed or cancelled.');
    end if;
    update public.job_attempts a set
        status = p_status, error = p_error, reason = p_reason, evidence = coalesce(p_evidence, '{}'),
        finished_at = clock_timestamp()
    where a.id = p_attempt_id;
    v_status := case
        when p_status = 'failed' and v_job.cancel_requested_at is not null then 'cancelled'
        when p_status = 'failed' and p_retry_in_ms is not null then 'ready'
        else p_status
    end;
    update public.job_queue j set
        status = v_status, error = p_error, reason = p_reason,
        not_before = case when v_status = 'ready' then clock_timestamp() + make_interval(secs => p_retry_in_ms / 1000.0) end,
        completed_at = case when v_status <> 'ready' then clock_timestamp() end
    where j.id = v_job.id returning * into v_job;
    update public.office_agents a set status = 'idle', current_task = null
    where a.id = v_job.agent_id and not exists (
        select 1 from public.job_queue j where j.agent_id = a.id and j.status = 'processing');
    if v_status = 'done' then
        perform semo.ready_dependents(v_job.id);
    end if;
    return v_job;
end $$;

-- Each is locked before its dependencies are looked at: of two that end at the same moment, the second sees the first.
create function semo.ready_dependents(p_job_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_dependent uuid;
begin
    for v_dependent in
        select j.id from public.job_queue j
        where j.depends_on @> array[p_job_id] and j.status = 'pending' order by j.id for update
    loop
        update public.job_queue j set status = 'ready'
        where j.id = v_dependent and j.status = 'pending' and semo.dependencies_done(j.depends_on);
    end loop;
end $$;

-- Time ---------------------------------------------------------------------------------------------

-- As before, and now for the office's server as well: it waits for commands when no operator does.
create or replace function public.expire_commands() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
    v_lease_end timestamptz;
    v_count integer := 0;
begin
    for v_command in
        select c.* from public.agent_commands c left join public.leases l using (host_id)
        where (semo.member_role(c.office_id) in ('operator', 'admin', 'server') or c.host_id = semo.current_host())
          and (c.status = 'pending' and c.start_by < clock_timestamp()
               or c.status = 'processing' and coalesce(l.expires_at, '-infinity') < clock_timestamp()
               -- A new process of the same host gives back what the old one had only claimed; nobody else may judge that.
               or c.status = 'processing' and c.stage = 'claimed' and c.claimed_by <> l.instance_id
                  and c.host_id = semo.current_host())
        order by c.sequence
        for update of c skip locked
    loop
        select coalesce(max(l.expires_at), '-infinity') into v_lease_end from public.leases l where l.host_id = v_command.host_id;
        if v_command.status = 'pending' and v_lease_end < clock_timestamp() then
            perform semo.finish_command(v_command, 'system', false, null, 'host_offline',
                'No agent ran on its host in time. Start one there with `semo up`.', null);
        elsif v_command.status = 'pending' then
            perform semo.finish_command(v_command, 'system', false, null, 'timeout', 'It did not begin in time.', null);
        -- Given back it would wait for ever: nobody ends what comes after the end of its session.
        elsif v_command.stage = 'claimed' and exists (
            select 1 from public.agent_sessions s where s.session_id = v_command.session_id and s.status = 'terminated'
        ) then
            perform semo.finish_command(v_command, 'system', false, null, 'session_exited',
                'The session ended before this was sent.', null);
        elsif v_command.stage = 'claimed' and v_command.attempt < 3 then
            perform set_config('semo.expiring', 'on', true);
            update public.agent_commands c set
                status = 'pending', stage = 'queued', lane_held = false, claim_token = null, claimed_by = null
            where c.id = v_command.id returning * into v_command;
            perform set_config('semo.expiring', '', true);
            perform semo.record_event(v_command, 'queued', 'system', '{"because": "the host was lost before anything was typed"}');
        elsif v_command.stage = 'claimed' then
            perform semo.finish_command(v_command, 'system', false, null, 'host_offline', 'The host was lost three times before it began.', null);
        elsif v_lease_end < clock_timestamp() - interval '10 minutes' then
            perform semo.finish_command(v_command, 'system', false, null, 'indeterminate',
                'The host was lost after typing may have begun; it is not typed again.', null);
        else
            continue;
        end if;
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Rights ------------------------------------------------------------------------------------------

alter table public.office_leases enable row level security;
alter table public.job_attempts enable row level security;
revoke all on public.office_leases, public.job_attempts from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.office_leases, public.job_attempts to service_role;
grant select on public.office_leases, public.job_attempts to authenticated;

create policy "members see who leads" on public.office_leases
    for select to authenticated using (semo.can_read(office_id));
create policy "members read attempts" on public.job_attempts
    for select to authenticated using (semo.can_read(office_id));

revoke all on function semo.guard_job(), semo.guard_dependencies(), semo.guard_attempt(), semo.dependencies_done(uuid[]),
    semo.operated_job(uuid), semo.require_term(uuid, bigint), semo.led_attempt(uuid, bigint, uuid),
    semo.runs_for(uuid, uuid, boolean),
    semo.write_command(uuid, uuid, text, jsonb, uuid, bigint, uuid, boolean), semo.least_busy_agent(uuid, text),
    semo.ready_dependents(uuid)
    from public, anon, authenticated, service_role;

revoke all on function
    public.create_job(uuid, uuid, text, text, text, uuid[], integer), public.cancel_job(uuid), public.retry_job(uuid),
    public.admit_server(uuid, uuid), public.take_office(uuid, uuid, integer), public.leave_office(uuid, bigint),
    public.open_jobs(uuid, bigint), public.begin_attempt(uuid, bigint, uuid),
    public.acquire_session(uuid, bigint, uuid, text, uuid),
    public.create_job_command(uuid, bigint, uuid, uuid, text, jsonb, uuid, bigint),
    public.finish_attempt(uuid, bigint, uuid, text, text, text, jsonb, bigint)
    from public, anon, authenticated, service_role;
grant execute on function
    public.create_job(uuid, uuid, text, text, text, uuid[], integer), public.cancel_job(uuid), public.retry_job(uuid),
    public.admit_server(uuid, uuid), public.take_office(uuid, uuid, integer), public.leave_office(uuid, bigint),
    public.open_jobs(uuid, bigint), public.begin_attempt(uuid, bigint, uuid),
    public.acquire_session(uuid, bigint, uuid, text, uuid),
    public.create_job_command(uuid, bigint, uuid, uuid, text, jsonb, uuid, bigint),
    public.finish_attempt(uuid, bigint, uuid, text, text, text, jsonb, bigint)
    to authenticated;

do $$
begin
    if not exists (select 1 from pg_publication_tables
                   where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'job_attempts') then
        alter publication supabase_realtime add table public.job_attempts;
    end if;
end $$;
