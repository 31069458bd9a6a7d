-- Jobs of agent CLIs: who does them, when a person decides, and what becomes of what waits for them.
--
--   processing ──no word that it is done──► needs_review ──review──► done | failed | tried again
--   pending ──what it waits for failed or was cancelled──► cancelled ──that one is retried──► pending
--
-- What changes more than one job takes the lock of the office's jobs first; the order of the other locks is as before.
-- The rows of office agents are locked last.

alter table public.offices add column archived_at timestamptz;
comment on column public.offices.archived_at is 'An archived office is there to be read: it takes no jobs, sessions or prompts.';

alter table public.office_agents
    add column profile text check (length(profile) between 1 and 40);
comment on column public.office_agents.profile is 'The CLI that does this agent''s jobs; null: shell.';

alter table public.agent_personas
    add constraint agent_personas_size check (octet_length(persona_prompt) <= 65536);

alter table public.job_queue
    add column profile text not null default 'shell' check (length(profile) between 1 and 40),
    add column turn_limit_ms bigint check (turn_limit_ms between 1000 and 604800000),
    add column cancelled_for uuid references public.job_queue (id) on delete set null,
    add column review_note text check (length(review_note) <= 4000),
    add column reviewed_by uuid,
    add column reviewed_at timestamptz;
comment on column public.job_queue.cancelled_for is 'The job whose failure or cancellation cancelled this one; null: by hand.';
comment on column public.job_queue.turn_limit_ms is 'How long a turn of it may run; null: the server''s own limit.';
create index job_queue_cancelled_for on public.job_queue (cancelled_for) where cancelled_for is not null;

alter table public.job_attempts drop constraint job_attempts_status_check;
alter table public.job_attempts add constraint job_attempts_status_check
    check (status in ('running', 'done', 'failed', 'needs_review', 'cancelled'));

create table semo.attempt_nonces (
    attempt_id  uuid primary key references public.job_attempts (id) on delete cascade,
    nonce       text not null default left(replace(gen_random_uuid()::text, '-', ''), 16)
);
comment on table semo.attempt_nonces is 'The word that ends a job of a CLI. It is in the attempt''s prompt and nowhere else that a job''s text could come from.';
alter table semo.attempt_nonces enable row level security;
revoke all on semo.attempt_nonces from public, anon, authenticated, service_role;

-- What may change ---------------------------------------------------------------------------------

create or replace function semo.guard_job() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_next text[] := case old.status
        when 'pending' then array['ready', 'cancelled']
        when 'ready' then array['processing', 'cancelled']
        when 'processing' then array['ready', 'done', 'failed', 'needs_review', 'cancelled']
        when 'needs_review' then array['pending', 'ready', 'done', 'failed', 'cancelled']
        when 'done' then '{}'
        else array['pending', 'ready', 'cancelled']
    end;
begin
    if new.status <> old.status and new.status <> all (v_next) then
        perform semo.refuse('conflict', format('A job does not go from %s to %s.', old.status, new.status));
    end if;
    return new;
end $$;

-- Shared steps ------------------------------------------------------------------------------------

-- Jobs wait for one another: who changes the state of one changes others, and no two do so at the same moment.
create function semo.lock_jobs(p_office_id uuid) returns void
language sql security definer set search_path = '' as $$
    select pg_advisory_xact_lock(hashtextextended('semo.jobs ' || p_office_id, 0))
$$;

create function semo.operated_job_alone(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.lock_jobs(j.office_id) from public.job_queue j where j.id = p_id;
    return semo.operated_job(p_id);
end $$;

-- The lock makes an archiving wait for the caller's transaction, and the caller see one that is done.
create function semo.require_open(p_office_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_office public.offices;
begin
    select * into v_office from public.offices o where o.id = p_office_id for share;
    if v_office.archived_at is not null then
        perform semo.refuse('conflict', format('The office %s is archived. `semo office restore` opens it again.', v_office.name));
    end if;
end $$;

create function semo.job_name(p_job public.job_queue) returns text
language sql immutable set search_path = '' as $$
    select format('%s (%s)', p_job.title, left(p_job.id::text, 8))
$$;

-- A CLI that no host can start is most likely misspelt. Where no host has said what it can start, nobody knows.
create function semo.check_profile(p_office_id uuid, p_profile text, p_where text default '') returns void
language plpgsql stable security definer set search_path = '' as $$
declare
    v_profiles text[] := array(
        select distinct h.name from public.office_hosts o join public.host_profiles h using (host_id)
        where o.office_id = p_office_id order by 1);
begin
    if p_profile <> 'shell' and p_profile <> all (v_profiles) and v_profiles <> '{}' then
        perform semo.refuse('invalid_payload', format('%sNo host of this office has the profile %s; there are %s.',
            p_where, p_profile, array_to_string(v_profiles, ', ')));
    end if;
end $$;

-- What an office agent does now, by its jobs and by whether their sessions ask. Its row is locked first: what is looked
-- at then is what everybody before has committed.
create function semo.settle_agent(p_agent_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_task text;
    v_asks boolean;
begin
    perform 1 from public.office_agents a where a.id = p_agent_id for update;
    select j.title, coalesce(s.status = 'waiting_input', false) into v_task, v_asks
    from public.job_queue j
    left join public.job_attempts t on t.job_id = j.id and t.status = 'running'
    left join public.agent_sessions s on s.session_id = t.session_id
    where j.agent_id = p_agent_id and j.status = 'processing'
    order by 2 desc, j.started_at, j.id limit 1;
    update public.office_agents a set
        status = case when v_task is null then 'idle' when v_asks then 'blocked' else 'working' end,
        current_task = v_task
    where a.id = p_agent_id
      and (a.status, a.current_task) is distinct from
          (case when v_task is null then 'idle' when v_asks then 'blocked' else 'working' end, v_task);
end $$;

create function semo.settle_agent_of_session() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.settle_agent(j.agent_id)
    from public.job_attempts t join public.job_queue j on j.id = t.job_id
    where t.session_id = new.session_id and t.status = 'running' and j.agent_id is not null;
    return null;
end $$;
create trigger settle_agent after update on public.agent_sessions for each row
    when (old.status <> new.status and 'waiting_input' in (old.status, new.status))
    execute function semo.settle_agent_of_session();

-- The session in which an office agent works now.
create function semo.seat_agent() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.agent_sessions s set agent_id = j.agent_id
    from public.job_queue j
    where s.session_id = new.session_id and j.id = new.job_id and s.agent_id is distinct from j.agent_id;
    return null;
end $$;
create trigger seat_agent after update on public.job_attempts for each row
    when (old.command_id is null and new.command_id is not null)
    execute function semo.seat_agent();

-- An archived office begins nothing; what runs may be answered, stopped and read.
create function semo.guard_archived() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if new.command_type in ('create_session', 'send_prompt') or new.command_type = 'send_text' and not new.urgent then
        if exists (select 1 from public.offices o where o.id = new.office_id and o.archived_at is not null) then
            perform semo.require_open(new.office_id);
        end if;
    end if;
    return new;
end $$;
create trigger guard_archived before insert on public.agent_commands
    for each row execute function semo.guard_archived();

-- Nor does it make spares, and none are wanted of a CLI that nobody here can start.
create function semo.guard_spares() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if new.warm_pool_size > 0 then
        perform semo.require_open(new.office_id);
        perform semo.check_profile(new.office_id, new.profile);
    end if;
    return new;
end $$;
create trigger guard_spares before insert or update of warm_pool_size, profile on public.pool_spares
    for each row execute function semo.guard_spares();

create function semo.because_of(p_cause public.job_queue) returns text
language sql immutable set search_path = '' as $$
    select format('Cancelled, because %s %s.', semo.job_name(p_cause),
        case p_cause.status when 'failed' then 'failed' else 'was cancelled' end)
$$;

-- Everything that waits for this job, directly or not, in vain. Where the job was cancelled because of another, that one
-- is the cause.
create function semo.cancel_dependents(p_job public.job_queue) returns void
language sql security definer set search_path = '' as $$
    with recursive downstream as (
        select j.id from public.job_queue j where j.depends_on @> array[p_job.id] and j.status = 'pending'
        union
        select j.id from public.job_queue j join downstream d on j.depends_on @> array[d.id] where j.status = 'pending'
    ), cause as (
        select c from public.job_queue c where c.id = coalesce(p_job.cancelled_for, p_job.id)
    )
    update public.job_queue j set
        status = 'cancelled', error = 'cancelled', cancelled_for = (c).id, not_before = null,
        reason = semo.because_of(c), completed_at = clock_timestamp()
    from downstream d, cause where j.id = d.id
$$;

-- What was cancelled because of this job waits for it again; what another one holds back as well names that one now.
create function semo.restore_dependents(p_job public.job_queue) returns void
language plpgsql security definer set search_path = '' as $$
begin
    loop
        with recursive downstream as (
            select j.id from public.job_queue j
            where j.depends_on @> array[p_job.id] and j.status in ('pending', 'cancelled')
            union
            select j.id from public.job_queue j join downstream d on j.depends_on @> array[d.id]
            where j.status in ('pending', 'cancelled')
        )
        update public.job_queue j set
            status = 'pending', error = null, reason = null, cancelled_for = null, completed_at = null
        from downstream d
        where j.id = d.id and j.status = 'cancelled' and j.cancelled_for is not null
          and not exists (select 1 from public.job_queue u
                          where u.id = any (j.depends_on) and u.status in ('failed', 'cancelled'));
        exit when not found;
    end loop;
    loop
        update public.job_queue j set
            cancelled_for = c.id, reason = semo.because_of(c)
        from public.job_queue u, public.job_queue c
        where j.cancelled_for = p_job.id and u.id = any (j.depends_on) and u.status in ('failed', 'cancelled')
          and c.id = coalesce(u.cancelled_for, u.id) and c.id <> p_job.id;
        exit when not found;
    end loop;
end $$;

-- A new round, for whatever reason; `p_job` is locked.
create function semo.begin_round(p_job public.job_queue) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
    v_cause public.job_queue;
begin
    perform semo.require_open(p_job.office_id);
    select u.* into v_cause from public.job_queue u
    where u.id = any (p_job.depends_on) and u.status in ('failed', 'cancelled') order by u.created_at, u.id limit 1;
    if v_cause.id is not null then
        perform semo.refuse('conflict', format('The job waits for %s, which %s. Retry that one first.',
            semo.job_name(v_cause), case v_cause.status when 'failed' then 'failed' else 'was cancelled' end));
    end if;
    update public.job_queue j set
        status = case when semo.dependencies_done(j.depends_on) then 'ready' else 'pending' end,
        round = j.round + 1, cancel_requested_at = null, not_before = null, error = null, reason = null,
        completed_at = null, cancelled_for = null,
        -- Whoever left the team meanwhile does not come back for it.
        agent_id = coalesce((select a.id from public.office_agents a where a.id = j.agent_id and a.deleted_at is null),
                            semo.least_busy_agent(j.office_id, j.role))
    where j.id = p_job.id returning * into v_job;
    perform semo.restore_dependents(v_job);
    return v_job;
end $$;

-- Adding ------------------------------------------------------------------------------------------

-- Refuses what can't be a job of this office, before anything is written. `p_where` says which of several it is.
create function semo.check_job(p_office_id uuid, p_job jsonb, p_others uuid[], p_where text) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
    v_role text := p_job ->> 'role';
    v_description text := p_job ->> 'description';
    v_agent public.office_agents;
    v_roles text[];
    v_upstream uuid[] := semo.upstream_of(p_job);
    v_unknown uuid;
begin
    if p_job ->> 'agent_id' is not null then
        select * into v_agent from public.office_agents a
        where a.id = (p_job ->> 'agent_id')::uuid and a.office_id = p_office_id and a.deleted_at is null;
        if v_agent.id is null then
            perform semo.refuse('invalid_payload', p_where || 'There is no such member of the team. `semo team list` shows who there is.');
        end if;
        if v_role is not null and v_role <> v_agent.role then
            perform semo.refuse('invalid_payload', format('%s%s works as %s, not as %s.', p_where, v_agent.name, v_agent.role, v_role));
        end if;
        v_role := v_agent.role;
    end if;
    if coalesce(length(v_role), 0) not between 1 and 40
       or btrim(coalesce(p_job ->> 'title', ''), E' \t\r\n') = '' or length(p_job ->> 'title') > 200 then
        perform semo.refuse('invalid_payload', p_where || 'A job needs a role of 1 to 40 characters and a title of 1 to 200.');
    end if;
    if v_role ~ '[[:cntrl:]]' or p_job ->> 'title' ~ '[[:cntrl:]]' then
        perform semo.refuse('invalid_payload', p_where || 'Role and title of a job are one line each, without control characters.');
    end if;
    if btrim(coalesce(v_description, ''), E' \t\r\n') = '' then
        perform semo.refuse('invalid_payload', p_where || 'The description is empty.');
    end if;
    if octet_length(v_description) > 262144 then
        perform semo.refuse('invalid_payload', format('%sThe description has %s bytes; at most 262144 can be sent at once. Put it into a file and name the file.',
            p_where, octet_length(v_description)));
    end if;
    if (p_job ->> 'turn_limit_ms')::numeric not between 1000 and 604800000 then
        perform semo.refuse('invalid_payload', p_where || 'A turn limit is 1 second to 7 days.');
    end if;
    if (p_job ->> 'priority')::numeric not between -1000000 and 1000000 then
        perform semo.refuse('invalid_payload', p_where || 'A priority is a number from -1000000 to 1000000; the lower goes first.');
    end if;
    if length(p_job ->> 'profile') not between 1 and 40 then
        perform semo.refuse('invalid_payload', p_where || 'A profile has a name of 1 to 40 characters.');
    end if;
    perform semo.check_profile(p_office_id, p_job ->> 'profile', p_where);
    v_roles := semo.pool_roles(p_office_id);
    if v_role <> all (v_roles) and not coalesce((p_job ->> 'any_role')::boolean, false) then
        perform semo.refuse('invalid_payload', format('%sNobody here has the role %s; there are %s. Add one with `semo team add --role %s`, or give --any-role.',
            p_where, v_role, array_to_string(v_roles, ', '), v_role));
    end if;
    select u into v_unknown from unnest(v_upstream) u
    where u <> all (p_others)
      and not exists (select 1 from public.job_queue j where j.id = u and j.office_id = p_office_id) limit 1;
    if v_unknown is not null then
        perform semo.refuse('invalid_payload', format('%sThere is no job %s in this office to wait for.', p_where, v_unknown));
    end if;
end $$;

create function semo.upstream_of(p_job jsonb) returns uuid[]
language sql immutable set search_path = '' as $$
    select array(
        select distinct d::uuid
        from jsonb_array_elements_text(coalesce(nullif(p_job -> 'depends_on', 'null'), '[]')) d order by 1)
$$;

-- Jobs that would wait for one another for ever, by name. Only new ones can: what is there waits for nothing new.
create function semo.refuse_circle(p_jobs jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_left uuid[] := array(select (j ->> 'id')::uuid from jsonb_array_elements(p_jobs) j);
    v_free uuid[];
    v_at uuid;
    v_path uuid[] := '{}';
begin
    loop
        -- Who waits for nobody that is left is in no circle.
        v_free := array(
            select (j ->> 'id')::uuid from jsonb_array_elements(p_jobs) j
            where (j ->> 'id')::uuid = any (v_left) and not semo.upstream_of(j) && v_left);
        exit when v_free = '{}';
        v_left := array(select l from unnest(v_left) l where l <> all (v_free));
    end loop;
    if v_left = '{}' then
        return;
    end if;
    v_at := v_left[1];
    while v_at <> all (v_path) loop
        v_path := v_path || v_at;
        select u into v_at
        from jsonb_array_elements(p_jobs) j, unnest(semo.upstream_of(j)) u
        where (j ->> 'id')::uuid = v_at and u = any (v_left) limit 1;
    end loop;
    v_path := v_path[array_position(v_path, v_at):] || v_at;
    perform semo.refuse('invalid_payload', case
        when array_length(v_path, 1) = 2 then 'A job can''t wait for itself: '
        else 'These jobs would wait for one another for ever: '
    end || (
        select string_agg(coalesce(j ->> 'name', j ->> 'title'), ' after ' order by p.n)
        from unnest(v_path) with ordinality p (id, n)
        join jsonb_array_elements(p_jobs) j on (j ->> 'id')::uuid = p.id
    ) || '.');
end $$;

create function semo.insert_job(p_office_id uuid, p_job jsonb) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
    v_agent public.office_agents;
    v_role text;
    v_upstream uuid[] := semo.upstream_of(p_job);
begin
    select * into v_job from public.job_queue j where j.id = (p_job ->> 'id')::uuid;
    if v_job.id is not null then
        if (v_job.office_id, v_job.title, v_job.description, v_job.depends_on, v_job.priority, v_job.created_by)
           is distinct from (p_office_id, p_job ->> 'title', p_job ->> 'description', v_upstream,
                             coalesce((p_job ->> 'priority')::integer, 100), auth.uid())
           or v_job.role <> coalesce(p_job ->> 'role', v_job.role)
           or v_job.profile <> coalesce(p_job ->> 'profile', v_job.profile)
           or v_job.agent_id is distinct from coalesce((p_job ->> 'agent_id')::uuid, v_job.agent_id)
           or v_job.turn_limit_ms is distinct from (p_job ->> 'turn_limit_ms')::bigint then
            perform semo.refuse('conflict', 'This job id was used before with another content.');
        end if;
        return v_job;
    end if;
    v_role := coalesce(p_job ->> 'role', (select a.role from public.office_agents a where a.id = (p_job ->> 'agent_id')::uuid));
    select * into v_agent from public.office_agents a
    where a.id = coalesce((p_job ->> 'agent_id')::uuid, semo.least_busy_agent(p_office_id, v_role));
    insert into public.job_queue (
        id, office_id, agent_id, role, title, description, status, depends_on, priority, profile, turn_limit_ms,
        created_by, created_at
    ) values (
        (p_job ->> 'id')::uuid, p_office_id, v_agent.id, v_role, p_job ->> 'title', p_job ->> 'description',
        case when semo.dependencies_done(v_upstream) then 'ready' else 'pending' end, v_upstream,
        coalesce((p_job ->> 'priority')::integer, 100), coalesce(p_job ->> 'profile', v_agent.profile, 'shell'),
        (p_job ->> 'turn_limit_ms')::bigint,
        -- Of several at once, in the order in which they were given.
        auth.uid(), clock_timestamp()
    ) returning * into v_job;
    return v_job;
end $$;

-- All or none. The client makes the ids; jobs may wait for others of the same request, in any order. The same ids with
-- the same content return the rows. An element: id, role, title, description; depends_on, priority, profile,
-- turn_limit_ms, agent_id, any_role, and `name`, under which a refusal speaks of it.
create function public.create_jobs(p_office_id uuid, p_jobs jsonb) returns setof public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_ids uuid[];
    v_item jsonb;
    v_number bigint;
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can add jobs.');
    end if;
    if jsonb_typeof(p_jobs) is distinct from 'array' or jsonb_array_length(p_jobs) not between 1 and 500 then
        perform semo.refuse('invalid_payload', 'Add 1 to 500 jobs at once.');
    end if;
    if octet_length(p_jobs::text) > 4194304 then
        perform semo.refuse('invalid_payload', 'The jobs are larger than 4 MiB together. Add them in several parts.');
    end if;
    perform semo.lock_jobs(p_office_id);
    perform semo.require_open(p_office_id);
    v_ids := array(select (j ->> 'id')::uuid from jsonb_array_elements(p_jobs) j);
    if exists (select 1 from unnest(v_ids) i where i is null)
       or (select count(distinct i) from unnest(v_ids) i) < jsonb_array_length(p_jobs) then
        perform semo.refuse('invalid_payload', 'Every job needs an id of its own.');
    end if;
    for v_item, v_number in select j, n from jsonb_array_elements(p_jobs) with ordinality e (j, n) loop
        if not exists (select 1 from public.job_queue j where j.id = (v_item ->> 'id')::uuid) then
            perform semo.check_job(p_office_id, v_item, v_ids, case when array_length(v_ids, 1) > 1
                then format('Job %s (%s): ', v_number, coalesce(v_item ->> 'name', v_item ->> 'title')) else '' end);
        end if;
    end loop;
    perform semo.refuse_circle(p_jobs);
    for v_item in select j from jsonb_array_elements(p_jobs) with ordinality e (j, n) order by n loop
        perform semo.insert_job(p_office_id, v_item);
    end loop;
    -- One that is added after a job that failed ends as one that was added before: which came first makes no difference.
    perform semo.cancel_dependents(u)
    from public.job_queue u
    where u.status in ('failed', 'cancelled')
      and u.id in (select d from public.job_queue j, unnest(j.depends_on) d where j.id = any (v_ids));
    return query
        select j.* from unnest(v_ids) with ordinality i (id, n) join public.job_queue j on j.id = i.id order by i.n;
end $$;

drop function public.create_job(uuid, uuid, text, text, text, uuid[], integer);
create function public.create_job(
    p_id uuid, p_office_id uuid, p_role text, p_title text, p_description text,
    p_depends_on uuid[] default '{}', p_priority integer default 100, p_profile text default null,
    p_turn_limit_ms bigint default null, p_agent_id uuid default null, p_any_role boolean default false
) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue;
begin
    select * into v_job from public.create_jobs(p_office_id, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'id', p_id, 'role', p_role, 'title', p_title, 'description', p_description, 'depends_on', p_depends_on,
        'priority', p_priority, 'profile', p_profile, 'turn_limit_ms', p_turn_limit_ms, 'agent_id', p_agent_id,
        'any_role', p_any_role))));
    return v_job;
end $$;

-- Operators ---------------------------------------------------------------------------------------

-- A job that has not begun ends here and now, and what waits for it with it. Of one that runs, a prompt that nobody has
-- claimed is taken back; the leader stops the rest.
create or replace function public.cancel_job(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue := semo.operated_job_alone(p_id);
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
        perform semo.cancel_dependents(v_job);
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

create or replace function public.retry_job(p_id uuid) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue := semo.operated_job_alone(p_id);
begin
    if v_job.status not in ('failed', 'needs_review', 'cancelled') then
        perform semo.refuse('conflict', format('The job is %s; only one that failed or was cancelled can be retried.', v_job.status));
    end if;
    return semo.begin_round(v_job);
end $$;

-- A person's word on a turn that ended without the CLI's own. The note goes into the next prompt.
create function public.review_job(p_id uuid, p_verdict text, p_note text default null) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.job_queue := semo.operated_job_alone(p_id);
    v_note text := nullif(btrim(p_note, E' \t\r\n'), '');
begin
    if p_verdict is null or p_verdict not in ('done', 'failed', 'retry') then
        perform semo.refuse('invalid_payload', 'A review says done, failed or retry.');
    end if;
    if length(v_note) > 4000 then
        perform semo.refuse('invalid_payload', 'A note has at most 4000 characters.');
    end if;
    if v_job.status <> 'needs_review' then
        perform semo.refuse('conflict', format('The job is %s; a review is for one that waits for it.', v_job.status));
    end if;
    update public.job_queue j set review_note = v_note, reviewed_by = auth.uid(), reviewed_at = clock_timestamp()
    where j.id = p_id returning * into v_job;
    if p_verdict = 'retry' then
        return semo.begin_round(v_job);
    end if;
    update public.job_queue j set
        status = p_verdict, error = null, completed_at = clock_timestamp(),
        reason = coalesce(v_note, case when p_verdict = 'failed' then 'Judged failed by a person.' end)
    where j.id = p_id returning * into v_job;
    if p_verdict = 'done' then
        perform semo.ready_dependents(p_id);
    else
        perform semo.cancel_dependents(v_job);
    end if;
    return v_job;
end $$;

create function public.archive_office(p_office_id uuid) returns public.offices
language plpgsql security definer set search_path = '' as $$
declare
    v_office public.offices;
    v_count bigint;
begin
    if not semo.can_administer(p_office_id) then
        perform semo.refuse('forbidden', 'Only an admin of the office can archive it.');
    end if;
    select * into v_office from public.offices o where o.id = p_office_id for update;
    select count(*) into v_count from public.job_queue j where j.office_id = p_office_id and j.status = 'processing';
    if v_count > 0 then
        perform semo.refuse('conflict', format('%s of its jobs run. Wait for them, or cancel them with `semo job cancel`.', v_count));
    end if;
    update public.offices o set archived_at = clock_timestamp()
    where o.id = p_office_id and o.archived_at is null returning * into v_office;
    select * into v_office from public.offices o where o.id = p_office_id;
    return v_office;
end $$;

create function public.restore_office(p_office_id uuid) returns public.offices
language plpgsql security definer set search_path = '' as $$
declare
    v_office public.offices;
begin
    if not semo.can_administer(p_office_id) then
        perform semo.refuse('forbidden', 'Only an admin of the office can restore it.');
    end if;
    update public.offices o set archived_at = null where o.id = p_office_id and o.archived_at is not null;
    select * into strict v_office from public.offices o where o.id = p_office_id;
    return v_office;
end $$;

-- The team ----------------------------------------------------------------------------------------

create function semo.check_persona(p_persona jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    if length(coalesce(p_persona ->> 'name', '')) not between 1 and 100 then
        perform semo.refuse('invalid_payload', 'A persona needs a name of 1 to 100 characters.');
    end if;
    if btrim(coalesce(p_persona ->> 'prompt', ''), E' \t\r\n') = '' then
        perform semo.refuse('invalid_payload', 'The persona is empty.');
    end if;
    if octet_length(p_persona ->> 'prompt') > 65536 then
        perform semo.refuse('invalid_payload', format('The persona has %s bytes; at most 65536.', octet_length(p_persona ->> 'prompt')));
    end if;
    if exists (
        select 1 from unnest(array['scope', 'skills']) k
        where jsonb_array_length(coalesce(p_persona -> k, '[]')) > 100
           or exists (select 1 from jsonb_array_elements_text(coalesce(p_persona -> k, '[]')) e
                      where length(e) not between 1 and 200 or e ~ '[[:cntrl:]]')
    ) then
        perform semo.refuse('invalid_payload', 'Scope and skills of a persona are up to 100 lines of 1 to 200 characters.');
    end if;
end $$;

create function semo.insert_persona(p_office_id uuid, p_role text, p_persona jsonb, p_is_default boolean) returns public.agent_personas
language plpgsql security definer set search_path = '' as $$
declare
    v_persona public.agent_personas;
begin
    perform semo.check_persona(p_persona);
    insert into public.agent_personas (office_id, role, name, persona_prompt, scope_patterns, core_skills, is_default)
    values (p_office_id, p_role, p_persona ->> 'name', p_persona ->> 'prompt',
            array(select jsonb_array_elements_text(coalesce(p_persona -> 'scope', '[]'))),
            array(select jsonb_array_elements_text(coalesce(p_persona -> 'skills', '[]'))), p_is_default)
    returning * into v_persona;
    return v_persona;
end $$;

-- How this office's people of a role work, instead of what was said before. p_persona: name, prompt, scope, skills.
create function public.set_persona(p_office_id uuid, p_role text, p_persona jsonb) returns public.agent_personas
language plpgsql security definer set search_path = '' as $$
begin
    if not semo.can_administer(p_office_id) then
        perform semo.refuse('forbidden', 'Only an admin of the office can say how a role works.');
    end if;
    if coalesce(length(p_role), 0) not between 1 and 40 or p_role ~ '[[:cntrl:]]' then
        perform semo.refuse('invalid_payload', 'A role has 1 to 40 characters on one line.');
    end if;
    perform semo.lock_jobs(p_office_id);
    delete from public.agent_personas p where p.office_id = p_office_id and p.role = p_role and p.is_default;
    return semo.insert_persona(p_office_id, p_role, p_persona, true);
end $$;

-- p_name null: the role and a number. p_profile: the CLI of its jobs, null: shell. p_persona: its own, null: its role's.
create function public.add_agent(
    p_id uuid, p_office_id uuid, p_role text, p_name text default null, p_profile text default null, p_persona jsonb default null
) returns public.office_agents
language plpgsql security definer set search_path = '' as $$
declare
    v_agent public.office_agents;
    v_name text := p_name;
    v_persona uuid;
begin
    if not semo.can_administer(p_office_id) then
        perform semo.refuse('forbidden', 'Only an admin of the office can add to its team.');
    end if;
    if coalesce(length(p_role), 0) not between 1 and 40 or length(p_name) not between 1 and 100
       or length(p_profile) not between 1 and 40 then
        perform semo.refuse('invalid_payload', 'A member has a role of 1 to 40 characters, a name of 1 to 100 and a profile of 1 to 40.');
    end if;
    if p_role ~ '[[:cntrl:]]' or p_name ~ '[[:cntrl:]]' then
        perform semo.refuse('invalid_payload', 'Role and name of a member are one line each, without control characters.');
    end if;
    perform semo.check_profile(p_office_id, p_profile);
    perform semo.lock_jobs(p_office_id);
    select * into v_agent from public.office_agents a where a.id = p_id;
    if v_agent.id is not null then
        if (v_agent.office_id, v_agent.role, v_agent.profile) is distinct from (p_office_id, p_role, p_profile)
           or v_agent.name <> coalesce(p_name, v_agent.name) then
            perform semo.refuse('conflict', 'This id was used before for somebody else.');
        end if;
        return v_agent;
    end if;
    perform semo.require_open(p_office_id);
    if v_name is null then
        select p_role || '-' || n into v_name from generate_series(1, 10000) n
        where not exists (select 1 from public.office_agents a where a.office_id = p_office_id and a.name = p_role || '-' || n)
        order by n limit 1;
    elsif exists (select 1 from public.office_agents a
                  where a.office_id = p_office_id and a.name = p_name and a.deleted_at is null) then
        perform semo.refuse('conflict', format('The team has somebody called %s already.', p_name));
    end if;
    if p_persona is not null then
        v_persona := (semo.insert_persona(p_office_id, p_role, p_persona, false)).id;
    end if;
    insert into public.office_agents (id, office_id, persona_id, role, name, profile)
    values (p_id, p_office_id, v_persona, p_role, v_name, p_profile) returning * into v_agent;
    return v_agent;
end $$;

-- Who has done jobs stays named in them. What it has not begun goes to somebody else of its role, or to nobody in
-- particular.
create function public.remove_agent(p_id uuid) returns public.office_agents
language plpgsql security definer set search_path = '' as $$
declare
    v_agent public.office_agents;
    v_job uuid;
begin
    perform semo.lock_jobs(a.office_id) from public.office_agents a where a.id = p_id;
    -- Its jobs before its own row: whoever begins one of them takes them in this order.
    perform 1 from public.job_queue j where j.agent_id = p_id and j.status in ('pending', 'ready') order by j.id for update;
    select * into v_agent from public.office_agents a where a.id = p_id for update;
    if v_agent.id is null or not semo.can_administer(v_agent.office_id) then
        perform semo.refuse('forbidden', 'There is no such member of a team that you may remove.');
    end if;
    if v_agent.deleted_at is not null then
        return v_agent;
    end if;
    if exists (select 1 from public.job_queue j where j.agent_id = p_id and j.status = 'processing') then
        perform semo.refuse('conflict', format('%s works on %s. Wait for it, or cancel it first.', v_agent.name, v_agent.current_task));
    end if;
    update public.office_agents a set deleted_at = clock_timestamp(), status = 'idle', current_task = null
    where a.id = p_id returning * into v_agent;
    for v_job in
        select j.id from public.job_queue j where j.agent_id = p_id and j.status in ('pending', 'ready') order by j.created_at, j.id
    loop
        update public.job_queue j set agent_id = semo.least_busy_agent(v_agent.office_id, v_agent.role) where j.id = v_job;
    end loop;
    return v_agent;
end $$;

-- The server --------------------------------------------------------------------------------------

-- What the leader has to do, most urgent first: jobs that run, and jobs that may begin in so many ms. An archived office
-- begins none.
create or replace function public.open_jobs(p_office_id uuid, p_epoch bigint)
returns table (job public.job_queue, due_in_ms bigint)
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.require_term(p_office_id, p_epoch);
    return query
        select j, greatest(0, coalesce((extract(epoch from j.not_before - clock_timestamp()) * 1000)::bigint, 0))
        from public.job_queue j join public.offices o on o.id = j.office_id
        where j.office_id = p_office_id
          and (j.status = 'processing' or j.status = 'ready' and o.archived_at is null)
        -- Of many that wait for their next try none hides one that may begin.
        order by j.status = 'processing' desc, coalesce(j.not_before > clock_timestamp(), false), j.priority, j.created_at, j.id
        limit 200;
end $$;

-- The attempt that runs, or a new one of a job that is ready.
create or replace function public.begin_attempt(p_office_id uuid, p_epoch bigint, p_job_id uuid) returns public.job_attempts
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
    perform semo.require_open(p_office_id);
    insert into public.job_attempts (job_id, office_id, attempt, round, epoch)
    select p_job_id, p_office_id, coalesce(max(a.attempt), 0) + 1, v_job.round, p_epoch
    from public.job_attempts a where a.job_id = p_job_id
    returning * into v_attempt;
    update public.job_queue j set
        status = 'processing', started_at = coalesce(j.started_at, clock_timestamp()), not_before = null,
        error = null, reason = null
    where j.id = p_job_id;
    perform semo.settle_agent(v_job.agent_id);
    return v_attempt;
end $$;

-- The word with which a CLI says that the job is done; made when the leader first asks for it.
create function public.attempt_nonce(p_office_id uuid, p_epoch bigint, p_attempt_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
begin
    insert into semo.attempt_nonces (attempt_id) values (v_attempt.id) on conflict (attempt_id) do nothing;
    return (select n.nonce from semo.attempt_nonces n where n.attempt_id = v_attempt.id);
end $$;

-- Ends the session in which the attempt's prompt was sent: what does not stop otherwise.
create function public.end_attempt_session(p_office_id uuid, p_epoch bigint, p_attempt_id uuid, p_id uuid) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    v_author uuid;
begin
    if v_attempt.status <> 'running' or v_attempt.command_id is null then
        perform semo.refuse('conflict', 'An attempt ends only the session in which it runs.');
    end if;
    select j.created_by into strict v_author from public.job_queue j where j.id = v_attempt.job_id;
    return semo.write_command(p_id, p_office_id, 'terminate', '{}', v_attempt.session_id, null, v_author, true);
end $$;

-- How an attempt ended. `p_retry_in_ms`: a failed one is tried again so much later; null: the job has failed. Again is no
-- error. What waited for a job that is done becomes ready; what waits for one that failed for good is cancelled.
create or replace function public.finish_attempt(
    p_office_id uuid, p_epoch bigint, p_attempt_id uuid, p_status text, p_error text default null, p_reason text default null,
    p_evidence jsonb default '{}', p_retry_in_ms bigint default null
) returns public.job_queue
language plpgsql security definer set search_path = '' as $$
declare
    v_attempt public.job_attempts;
    v_job public.job_queue;
    v_status text;
begin
    perform semo.lock_jobs(p_office_id);
    v_attempt := semo.led_attempt(p_office_id, p_epoch, p_attempt_id);
    select * into strict v_job from public.job_queue j where j.id = v_attempt.job_id;
    if v_attempt.status <> 'running' then
        return v_job;
    end if;
    if p_status is null or p_status not in ('done', 'failed', 'needs_review', 'cancelled') then
        perform semo.refuse('invalid_payload', 'An attempt ends done, failed, needs_review or cancelled.');
    end if;
    update public.job_attempts a set
        status = p_status, error = p_error, reason = p_reason, evidence = coalesce(p_evidence, '{}'),
        finished_at = clock_timestamp()
    where a.id = p_attempt_id;
    v_status := case
        when p_status in ('failed', 'needs_review') and v_job.cancel_requested_at is not null then 'cancelled'
        when p_status = 'failed' and p_retry_in_ms is not null then 'ready'
        else p_status
    end;
    update public.job_queue j set
        status = v_status, error = p_error, reason = p_reason,
        not_before = case when v_status = 'ready' then clock_timestamp() + make_interval(secs => p_retry_in_ms / 1000.0) end,
        completed_at = case when v_status not in ('ready', 'needs_review') then clock_timestamp() end
    where j.id = v_job.id returning * into v_job;
    perform semo.settle_agent(v_job.agent_id);
    if v_status = 'done' then
        perform semo.ready_dependents(v_job.id);
    elsif v_status in ('failed', 'cancelled') then
        perform semo.cancel_dependents(v_job);
    end if;
    return v_job;
end $$;

-- Rights ------------------------------------------------------------------------------------------

revoke all on function semo.lock_jobs(uuid), semo.operated_job_alone(uuid), semo.require_open(uuid),
    semo.job_name(public.job_queue), semo.check_profile(uuid, text, text), semo.settle_agent(uuid), semo.settle_agent_of_session(),
    semo.seat_agent(), semo.guard_archived(), semo.guard_spares(), semo.cancel_dependents(public.job_queue),
    semo.because_of(public.job_queue), semo.restore_dependents(public.job_queue), semo.begin_round(public.job_queue),
    semo.check_job(uuid, jsonb, uuid[], text), semo.upstream_of(jsonb), semo.refuse_circle(jsonb),
    semo.insert_job(uuid, jsonb), semo.check_persona(jsonb), semo.insert_persona(uuid, text, jsonb, boolean)
    from public, anon, authenticated, service_role;

revoke all on function
    public.create_jobs(uuid, jsonb),
    public.create_job(uuid, uuid, text, text, text, uuid[], integer, text, bigint, uuid, boolean),
    public.review_job(uuid, text, text), public.archive_office(uuid), public.restore_office(uuid),
    public.set_persona(uuid, text, jsonb), public.add_agent(uuid, uuid, text, text, text, jsonb),
    public.remove_agent(uuid), public.attempt_nonce(uuid, bigint, uuid),
    public.end_attempt_session(uuid, bigint, uuid, uuid)
    from public, anon, authenticated, service_role;
grant execute on function
    public.create_jobs(uuid, jsonb),
    public.create_job(uuid, uuid, text, text, text, uuid[], integer, text, bigint, uuid, boolean),
    public.review_job(uuid, text, text), public.archive_office(uuid), public.restore_office(uuid),
    public.set_persona(uuid, text, jsonb), public.add_agent(uuid, uuid, text, text, text, jsonb),
    public.remove_agent(uuid), public.attempt_nonce(uuid, bigint, uuid),
    public.end_attempt_session(uuid, bigint, uuid, uuid)
    to authenticated;
