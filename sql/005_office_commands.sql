-- Sessions, and the commands that drive them.
--
--   status   pending ──claim──► processing ──complete──► completed | failed
--            pending ──start limit, cancelled, session ended──► failed
--            processing ──lease lost while only claimed──► pending        (expire_commands alone)
--   stage    queued → claimed → typed → accepted → turn_ended   the receipt of a prompt; other types skip steps
--
-- The lane of a session is the order of its prompts and typed text. It is held from claim until the program
-- accepted the prompt; a prompt is handed out only while the session is ready. Urgent commands pass the lane.

-- Tables ------------------------------------------------------------------------------------------

create table public.leases (
    host_id      uuid primary key references public.agent_hosts (id) on delete cascade,
    instance_id  uuid not null,
    acquired_at  timestamptz not null default now(),
    renewed_at   timestamptz not null default now(),
    expires_at   timestamptz not null
);
comment on table public.leases is 'The one agent process that acts for a host. Not published: it changes every few seconds.';

create table public.agent_sessions (
    session_id              uuid primary key default gen_random_uuid(),
    office_id               uuid not null references public.offices (id) on delete cascade,
    host_id                 uuid not null references public.agent_hosts (id) on delete cascade,
    agent_id                uuid references public.office_agents (id) on delete set null,
    worktree_id             uuid references public.worktrees (id) on delete set null,
    iterm_tab_id            text,
    role                    text not null default 'shell' check (length(role) between 1 and 40),
    profile                 text not null check (length(profile) between 1 and 40),
    cwd                     text not null check (length(cwd) between 1 and 4096),
    title                   text,
    status                  text not null default 'creating'
                            check (status in ('creating', 'ready', 'executing', 'waiting_input', 'error', 'terminated')),
    status_source           text not null default 'request',
    status_as_of            timestamptz not null default now(),
    reason                  text,
    confidence              text not null default 'high' check (confidence in ('high', 'low')),
    exit_status             integer,
    exit_signal             integer,
    active_turn_command_id  uuid,
    created_by              uuid not null,
    created_at              timestamptz not null default now(),
    last_activity_at        timestamptz not null default now(),
    ended_at                timestamptz,
    updated_at              timestamptz not null default now(),
    deleted_at              timestamptz,
    version                 bigint not null default 0,
    check ((status = 'terminated') = (ended_at is not null))
);
comment on column public.agent_sessions.iterm_tab_id is 'The terminal''s own name of the tab, whichever terminal it is.';
comment on column public.agent_sessions.status is 'Written by the host''s agent only, with what it is based on: status_source, status_as_of, reason, confidence.';
create index agent_sessions_office_id on public.agent_sessions (office_id);
create index agent_sessions_status on public.agent_sessions (status);
create index agent_sessions_host_id on public.agent_sessions (host_id) where status <> 'terminated';

create table public.agent_commands (
    id                   uuid primary key,
    sequence             bigint generated always as identity,
    office_id            uuid not null references public.offices (id) on delete cascade,
    session_id           uuid not null references public.agent_sessions (session_id) on delete cascade,
    host_id              uuid not null references public.agent_hosts (id) on delete cascade,
    command_type         text not null
                         check (command_type in ('create_session', 'send_prompt', 'send_text', 'get_output', 'cancel', 'terminate')),
    payload              jsonb not null default '{}' check (jsonb_typeof(payload) = 'object'),
    urgent               boolean not null,
    status               text not null default 'pending' check (status in ('pending', 'processing', 'completed', 'failed')),
    stage                text not null default 'queued' check (stage in ('queued', 'claimed', 'typed', 'accepted', 'turn_ended')),
    lane_held            boolean not null default false,
    attempt              integer not null default 0,
    claim_token          uuid,
    claimed_by           uuid,
    start_by             timestamptz,
    error                text,
    late_result          jsonb,
    created_by           uuid not null,
    created_at           timestamptz not null default now(),
    processed_at         timestamptz,
    completed_at         timestamptz,
    updated_at           timestamptz not null default now(),
    version              bigint not null default 0,
    check ((status in ('completed', 'failed')) = (completed_at is not null)),
    check (not (urgent and lane_held)),
    check ((status = 'processing') <= (claim_token is not null)),
    check (lane_held <= (status = 'processing'))
);
comment on column public.agent_commands.claim_token is 'The fence: only its holder may report and complete. The host check stands beside it.';
comment on column public.agent_commands.start_by is 'How long it may wait to begin; null: for ever.';
create index agent_commands_office_id on public.agent_commands (office_id);
create index agent_commands_status on public.agent_commands (host_id, sequence) where status in ('pending', 'processing');
create index agent_commands_session_id on public.agent_commands (session_id, sequence);
-- One command in the lane of a session at a time, whatever a claim forgot to look at.
create unique index agent_commands_one_in_lane on public.agent_commands (session_id) where lane_held;

create table public.agent_command_results (
    id          uuid primary key default gen_random_uuid(),
    command_id  uuid not null unique references public.agent_commands (id) on delete cascade,
    office_id   uuid not null,
    host_id     uuid not null,
    success     boolean not null,
    result      jsonb,
    error       text,
    message     text,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    version     bigint not null default 0,
    check (success = (error is null))
);
-- office_id and host_id, here and in the events, are those of the command: policies read them without a join, and the
-- command's own references keep them true.
comment on column public.agent_command_results.error is 'One of the closed set of error codes; message is its sentence.';
create index agent_command_results_office_id on public.agent_command_results (office_id);

create table public.agent_command_events (
    id          bigint generated always as identity primary key,
    command_id  uuid not null references public.agent_commands (id) on delete cascade,
    office_id   uuid not null,
    host_id     uuid not null,
    stage       text not null,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null check (actor in ('operator', 'agent', 'system')),
    actor_id    uuid,
    evidence    jsonb not null default '{}'
);
comment on table public.agent_command_events is 'Append-only: every step of every command, when, by whom, and on what evidence.';
create index agent_command_events_command_id on public.agent_command_events (command_id, id);
create index agent_command_events_office_id on public.agent_command_events (office_id);

create trigger touch before insert or update on public.agent_sessions for each row execute function semo.touch();
create trigger touch before insert or update on public.agent_commands for each row execute function semo.touch();
create trigger touch before insert or update on public.agent_command_results for each row execute function semo.touch();
create trigger hint after insert or update on public.agent_sessions for each row execute function semo.hint('session_id', 'office_id');
create trigger hint after insert or update on public.agent_commands for each row execute function semo.hint('id', 'office_id');
create trigger hint after insert or update on public.agent_command_results for each row execute function semo.hint('command_id', 'office_id');

-- What may change ---------------------------------------------------------------------------------

create function semo.guard_command() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if old.status in ('completed', 'failed') then
        if to_jsonb(new) - array['late_result', 'version', 'updated_at']
           is distinct from to_jsonb(old) - array['late_result', 'version', 'updated_at'] then
            perform semo.refuse('conflict', 'A finished command does not change.');
        end if;
    elsif old.status = 'pending' and new.status = 'completed'
       or old.status = 'processing' and new.status = 'pending'
          and (old.stage <> 'claimed' or coalesce(current_setting('semo.expiring', true), '') <> 'on') then
        perform semo.refuse('conflict', format('A command does not go from %s to %s.', old.status, new.status));
    end if;
    return new;
end $$;
create trigger guard before update on public.agent_commands for each row execute function semo.guard_command();

create function semo.guard_event() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform semo.refuse('conflict', 'The record of a command is append-only.');
    return null;
end $$;
create trigger guard before update on public.agent_command_events for each row execute function semo.guard_event();

create function semo.guard_session() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if old.status = 'terminated' and new.status <> 'terminated' then
        perform semo.refuse('conflict', 'A terminated session does not come back.');
    end if;
    return new;
end $$;
create trigger guard before update on public.agent_sessions for each row execute function semo.guard_session();

-- Shared steps ------------------------------------------------------------------------------------

create function semo.record_event(p_command public.agent_commands, p_stage text, p_actor text, p_evidence jsonb) returns void
language sql security definer set search_path = '' as $$
    insert into public.agent_command_events (command_id, office_id, host_id, stage, actor, actor_id, evidence)
    values (p_command.id, p_command.office_id, p_command.host_id, p_stage, p_actor, (select auth.uid()), coalesce(p_evidence, '{}'))
$$;

create function semo.stage_rank(p_stage text) returns integer
language sql immutable set search_path = '' as $$
    select array_position(array['queued', 'claimed', 'typed', 'accepted', 'turn_ended'], p_stage)
$$;

-- The one place where a command becomes finished: status, result row and event together.
create function semo.finish_command(
    p_command public.agent_commands, p_actor text, p_success boolean, p_result jsonb, p_error text, p_message text, p_evidence jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_ended boolean := p_success and p_command.command_type = 'send_prompt' or p_command.stage = 'accepted';
begin
    -- The result first: its hint is the one that waiters wait for.
    insert into public.agent_command_results (command_id, office_id, host_id, success, result, error, message)
    values (p_command.id, p_command.office_id, p_command.host_id, p_success, p_result, p_error, p_message);
    update public.agent_commands c set
        status = case when p_success then 'completed' else 'failed' end,
        stage = case when v_ended then 'turn_ended' else c.stage end,
        lane_held = false, error = p_error, completed_at = clock_timestamp()
    where c.id = p_command.id;
    perform semo.record_event(
        p_command,
        case when v_ended then 'turn_ended' when p_success then 'completed' else 'failed' end,
        p_actor,
        case when p_error is null then p_evidence else coalesce(p_evidence, '{}') || jsonb_build_object('error', p_error) end);
    update public.agent_sessions s set active_turn_command_id = null
    where s.session_id = p_command.session_id and s.active_turn_command_id = p_command.id;
    -- A session that was never begun has no agent who would bury it.
    if p_command.command_type = 'create_session' and not p_success then
        perform semo.apply_session_report(p_command.session_id, jsonb_build_object(
            'status', 'terminated', 'status_source', 'request', 'reason', p_message));
    end if;
end $$;

-- What the agent saw of a session. Keys that are absent stay as they are; a new status takes its own reason with it.
create function semo.apply_session_report(p_session_id uuid, p_report jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_ended boolean := coalesce(p_report ->> 'status' = 'terminated', false);
    v_command public.agent_commands;
begin
    update public.agent_sessions s set
        status = coalesce(p_report ->> 'status', s.status),
        status_source = coalesce(p_report ->> 'status_source', s.status_source),
        status_as_of = case when p_report ? 'status' then clock_timestamp() else s.status_as_of end,
        reason = case when p_report ? 'status' then p_report ->> 'reason' else s.reason end,
        confidence = case when p_report ? 'status' then coalesce(p_report ->> 'confidence', 'high') else s.confidence end,
        iterm_tab_id = coalesce(p_report ->> 'iterm_tab_id', s.iterm_tab_id),
        title = coalesce(p_report ->> 'title', s.title),
        exit_status = coalesce((p_report ->> 'exit_status')::integer, s.exit_status),
        exit_signal = coalesce((p_report ->> 'exit_signal')::integer, s.exit_signal),
        active_turn_command_id = case when v_ended then null else s.active_turn_command_id end,
        ended_at = case when v_ended then coalesce(s.ended_at, clock_timestamp()) else s.ended_at end,
        last_activity_at = clock_timestamp()
    where s.session_id = p_session_id;
    if v_ended then
        for v_command in
            select * from public.agent_commands c
            where c.session_id = p_session_id and c.status = 'pending' order by c.sequence for update
        loop
            perform semo.finish_command(v_command, 'system', false, null, 'session_exited',
                'The session ended before this was sent.', null);
        end loop;
    end if;
end $$;

create function semo.has_waiting(p_session_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select 1 from public.agent_commands c where c.session_id = p_session_id and c.status = 'pending')
$$;

-- The caller's host, if this instance is the one that holds its lease.
create function semo.leading_host(p_instance uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.current_host();
begin
    if v_host is null then
        perform semo.refuse('forbidden', 'Only a registered host may do this.');
    end if;
    if not exists (select 1 from public.leases l where l.host_id = v_host and l.instance_id = p_instance) then
        perform semo.refuse('superseded', 'Another agent process acts for this host now.');
    end if;
    return v_host;
end $$;

-- The command under its fence. A wrong token changes nothing and says so.
create function semo.fenced_command(p_command_id uuid, p_claim_token uuid) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
begin
    select * into v_command from public.agent_commands c
    where c.id = p_command_id and c.host_id = semo.current_host() for update;
    if v_command.id is null then
        perform semo.refuse('forbidden', 'This command is not this host''s.');
    end if;
    if v_command.claim_token is distinct from p_claim_token then
        perform semo.refuse('conflict', 'The claim on this command was given to someone else.');
    end if;
    return v_command;
end $$;

create function semo.check_payload(p_command_type text, p_payload jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_key text := case p_command_type when 'send_prompt' then 'prompt' when 'send_text' then 'text' end;
    v_text text := p_payload ->> v_key;
begin
    if jsonb_typeof(p_payload) is distinct from 'object' then
        perform semo.refuse('invalid_payload', 'The payload is a JSON object.');
    end if;
    if v_key is not null and jsonb_typeof(p_payload -> v_key) is distinct from 'string' then
        perform semo.refuse('invalid_payload', format('The payload needs %I, a text.', v_key));
    end if;
    if octet_length(v_text) > 262144 then
        perform semo.refuse('invalid_payload', format('The text has %s bytes; at most 262144 can be sent at once. Put it into a file and name the file.',
            octet_length(v_text)));
    end if;
    if p_command_type = 'send_prompt' and btrim(v_text, E' \t\r\n') = '' then
        perform semo.refuse('invalid_payload', 'The prompt is empty.');
    end if;
    if octet_length(p_payload::text) > 1048576 then
        perform semo.refuse('invalid_payload', 'The payload is larger than 1 MiB.');
    end if;
    if p_command_type = 'create_session' and coalesce(p_payload ->> 'profile', '') = '' then
        perform semo.refuse('invalid_payload', 'A new session needs a profile.');
    end if;
end $$;

-- The host for a new session: the one named, else the attached one that was seen last.
create function semo.place_session(p_office_id uuid, p_host_id uuid) returns public.office_hosts
language plpgsql security definer set search_path = '' as $$
declare
    v_place public.office_hosts;
begin
    select o.* into v_place from public.office_hosts o left join public.leases l using (host_id)
    where o.office_id = p_office_id and (p_host_id is null or o.host_id = p_host_id)
    order by l.expires_at desc nulls last limit 1 for update of o;
    if v_place.host_id is null then
        perform semo.refuse('host_offline', 'No host is attached to this office. Start one with `semo up`.');
    end if;
    if (select count(*) from public.agent_sessions s
        where s.host_id = v_place.host_id and s.office_id = p_office_id and s.status <> 'terminated') >= v_place.max_sessions then
        perform semo.refuse('pool_exhausted', format('The host runs %s sessions, its limit. End one first.', v_place.max_sessions));
    end if;
    return v_place;
end $$;

-- Whether the host runs what the caller asks for: its owner always, others by the host's own rule.
create function semo.runs_for_caller(p_host_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.agent_hosts h
        where h.id = p_host_id and (h.owner_id = (select auth.uid()) or h.runs_for = 'operators')
    )
$$;

-- Operators ---------------------------------------------------------------------------------------

-- The client makes the id. The same id with the same content returns the row: a lost answer can be asked again.
create function public.create_command(
    p_id uuid, p_office_id uuid, p_command_type text, p_payload jsonb default '{}',
    p_session_id uuid default null, p_start_by_ms bigint default null
) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
    v_session public.agent_sessions;
    v_place public.office_hosts;
    -- A prompt waits until the session is ready, however long that takes; the rest is worth nothing late.
    v_start_ms bigint := coalesce(p_start_by_ms, case when p_command_type <> 'send_prompt' then 300000 end);
begin
    if not semo.can_operate(p_office_id) then
        perform semo.refuse('forbidden', 'Only operators of this office can send.');
    end if;
    select * into v_command from public.agent_commands c where c.id = p_id;
    if v_command.id is not null then
        if (v_command.office_id, v_command.command_type, v_command.payload, v_command.created_by)
           is distinct from (p_office_id, p_command_type, p_payload, auth.uid())
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
                p_payload ->> 'profile', coalesce(p_payload ->> 'cwd', v_place.repo_path), auth.uid())
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
    if not semo.runs_for_caller(v_session.host_id) then
        perform semo.refuse('forbidden', 'This host runs the commands of its owner only.');
    end if;

    insert into public.agent_commands (id, office_id, session_id, host_id, command_type, payload, urgent, start_by, created_by)
    values (p_id, p_office_id, v_session.session_id, v_session.host_id, p_command_type, p_payload,
            p_command_type in ('cancel', 'terminate', 'get_output')
                or p_command_type = 'send_text' and coalesce((p_payload ->> 'answer')::boolean, false),
            clock_timestamp() + make_interval(secs => v_start_ms / 1000.0), auth.uid())
    returning * into v_command;
    perform semo.record_event(v_command, 'queued', 'operator', null);
    return v_command;
exception when unique_violation then
    -- Two callers with one id at the same moment: the second finds the row of the first.
    select * into v_command from public.agent_commands c
    where c.id = p_id and c.office_id = p_office_id and c.command_type = p_command_type
      and c.payload = p_payload and c.created_by = auth.uid();
    if v_command.id is null then
        perform semo.refuse('conflict', 'This command or session id was used before with another content.');
    end if;
    return v_command;
end $$;

-- Take back what has not begun. What is being typed or runs is stopped by a `cancel` command.
create function public.cancel_command(p_command_id uuid) returns public.agent_commands
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
begin
    select * into v_command from public.agent_commands c where c.id = p_command_id for update;
    if v_command.id is null or not semo.can_operate(v_command.office_id) then
        perform semo.refuse('forbidden', 'There is no such command that you may take back.');
    end if;
    if v_command.status <> 'pending' then
        perform semo.refuse('conflict', 'The command has begun. Cancel the session''s turn to stop it.');
    end if;
    perform semo.finish_command(v_command, 'operator', false, null, 'cancelled', 'Taken back before it began.', null);
    select * into v_command from public.agent_commands c where c.id = p_command_id;
    return v_command;
end $$;

-- Everything a waiting caller needs, as of one moment and in one request. The right to read the command is the right to
-- read the rest of it, so it is checked once here and not again by the policies of four tables.
create function public.command_outcome(p_command_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'command', to_jsonb(c),
        'result', (select to_jsonb(r) from public.agent_command_results r where r.command_id = c.id),
        'events', (select coalesce(jsonb_agg(to_jsonb(e) order by e.id), '[]') from public.agent_command_events e
                   where e.command_id = c.id),
        'session', (select to_jsonb(s) from public.agent_sessions s where s.session_id = c.session_id))
    from public.agent_commands c
    where c.id = p_command_id and (semo.can_read(c.office_id) or c.host_id = semo.current_host())
$$;

-- Agents ------------------------------------------------------------------------------------------

-- p_take: a new process that holds the host's file lock takes over, and the older one is superseded for good.
create function public.renew_leases(p_instance uuid, p_take boolean default false, p_ttl_ms integer default 15000) returns public.leases
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.current_host();
    v_lease public.leases;
    v_until timestamptz := clock_timestamp() + make_interval(secs => p_ttl_ms / 1000.0);
begin
    if v_host is null then
        perform semo.refuse('forbidden', 'Only a registered host may do this.');
    end if;
    if p_ttl_ms not between 1000 and 60000 then
        perform semo.refuse('invalid_payload', 'A lease lasts 1 to 60 seconds.');
    end if;
    if p_take then
        insert into public.leases (host_id, instance_id, expires_at) values (v_host, p_instance, v_until)
        on conflict (host_id) do update
            set instance_id = excluded.instance_id, acquired_at = clock_timestamp(),
                renewed_at = clock_timestamp(), expires_at = excluded.expires_at
        returning * into v_lease;
        update public.agent_hosts h set last_seen_at = clock_timestamp() where h.id = v_host;
    else
        update public.leases l set renewed_at = clock_timestamp(), expires_at = v_until
        where l.host_id = v_host and l.instance_id = p_instance returning * into v_lease;
    end if;
    if v_lease.host_id is null then
        perform semo.refuse('superseded', 'Another agent process acts for this host now.');
    end if;
    return v_lease;
end $$;

-- Hands out what may begin now. The host comes from the caller's identity, never from an argument.
create function public.claim_commands(p_instance uuid, p_limit integer default 20)
returns table (command public.agent_commands, remaining_ms bigint)
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.leading_host(p_instance);
    v_command public.agent_commands;
begin
    for v_command in
        select c.* from public.agent_commands c join public.agent_sessions s using (session_id)
        where c.host_id = v_host and c.status = 'pending'
          and (c.start_by is null or c.start_by > clock_timestamp())
          and (c.urgent or (
              -- Head of the lane, seen in the same statement: without it most races break the order.
              not exists (
                  select 1 from public.agent_commands e
                  where e.session_id = c.session_id and not e.urgent and e.id <> c.id
                    and (e.lane_held or e.status = 'pending' and e.sequence < c.sequence))
              and (c.command_type <> 'send_prompt' or s.status = 'ready' and s.active_turn_command_id is null)
              and (c.command_type <> 'send_text' or s.status not in ('creating', 'waiting_input'))))
        order by c.urgent desc, c.sequence
        limit least(greatest(p_limit, 1), 100)
        for update of c skip locked
    loop
        update public.agent_commands c set
            status = 'processing', stage = 'claimed', lane_held = not c.urgent, attempt = c.attempt + 1,
            claim_token = gen_random_uuid(), claimed_by = p_instance, processed_at = clock_timestamp()
        where c.id = v_command.id returning * into v_command;
        perform semo.record_event(v_command, 'claimed', 'agent', jsonb_build_object('attempt', v_command.attempt));
        command := v_command;
        remaining_ms := (extract(epoch from v_command.start_by - clock_timestamp()) * 1000)::bigint;
        return next;
    end loop;
end $$;

-- One step on the receipt. Steps go forward only; the same step again is no error and no second event.
-- Returns the stage, and whether the session has commands that wait: they may be claimable now.
create function public.report_stage(
    p_command_id uuid, p_claim_token uuid, p_stage text, p_evidence jsonb default '{}', p_session jsonb default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands := semo.fenced_command(p_command_id, p_claim_token);
begin
    if p_stage not in ('typed', 'accepted') then
        perform semo.refuse('invalid_payload', 'Only typed and accepted are reported; the other steps come with claim and completion.');
    end if;
    if v_command.status <> 'processing' then
        perform semo.refuse('conflict', 'The command is finished.');
    end if;
    if semo.stage_rank(p_stage) > semo.stage_rank(v_command.stage) then
        update public.agent_commands c set stage = p_stage, lane_held = c.lane_held and p_stage <> 'accepted'
        where c.id = p_command_id returning * into v_command;
        perform semo.record_event(v_command, p_stage, 'agent', p_evidence);
    end if;
    -- The lane opens and the turn begins in one transaction: in between a second prompt would be handed out.
    if p_stage = 'accepted' then
        update public.agent_sessions s set active_turn_command_id = p_command_id where s.session_id = v_command.session_id;
        perform semo.apply_session_report(v_command.session_id,
            coalesce(p_session, '{}') || jsonb_build_object('status', 'executing'));
    elsif p_session is not null then
        perform semo.apply_session_report(v_command.session_id, p_session);
    end if;
    return jsonb_build_object('stage', v_command.stage, 'waiting', semo.has_waiting(v_command.session_id));
end $$;

-- The one result. Returns how it was kept, `completed`, `repeated` (the same call again) or `late` (in late_result),
-- and whether the session has commands that wait: they may be claimable now.
create function public.complete_command(
    p_command_id uuid, p_claim_token uuid, p_success boolean, p_result jsonb default null,
    p_error text default null, p_message text default null, p_evidence jsonb default '{}', p_session jsonb default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands := semo.fenced_command(p_command_id, p_claim_token);
begin
    if octet_length(p_result::text) > 262144 then
        perform semo.refuse('invalid_payload', 'A result has at most 256 kB.');
    end if;
    if v_command.status = 'failed' and v_command.error = 'indeterminate' and p_error is distinct from 'indeterminate' then
        update public.agent_commands c set late_result = jsonb_build_object(
            'success', p_success, 'result', p_result, 'error', p_error, 'at', clock_timestamp())
        where c.id = p_command_id;
        return jsonb_build_object('kept', 'late', 'waiting', semo.has_waiting(v_command.session_id));
    end if;
    if v_command.status in ('completed', 'failed') then
        return jsonb_build_object('kept', 'repeated', 'waiting', semo.has_waiting(v_command.session_id));
    end if;
    perform semo.finish_command(v_command, 'agent', p_success, p_result, p_error, p_message, p_evidence);
    if p_session is not null then
        perform semo.apply_session_report(v_command.session_id, p_session);
    end if;
    return jsonb_build_object('kept', 'completed', 'waiting', semo.has_waiting(v_command.session_id));
end $$;

create function public.report_session(p_instance uuid, p_session_id uuid, p_session jsonb) returns public.agent_sessions
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.leading_host(p_instance);
    v_session public.agent_sessions;
begin
    if not exists (select 1 from public.agent_sessions s where s.session_id = p_session_id and s.host_id = v_host) then
        perform semo.refuse('session_not_found', 'This host has no such session.');
    end if;
    perform semo.apply_session_report(p_session_id, p_session);
    select * into v_session from public.agent_sessions s where s.session_id = p_session_id;
    return v_session;
end $$;

-- Time ---------------------------------------------------------------------------------------------

-- What is overdue, in the offices and on the host of the caller. Whoever waits calls it; it does what is due, once.
create function public.expire_commands() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands;
    v_lease_end timestamptz;
    v_count integer := 0;
begin
    for v_command in
        select c.* from public.agent_commands c left join public.leases l using (host_id)
        where (semo.can_operate(c.office_id) or c.host_id = semo.current_host())
          and (c.status = 'pending' and c.start_by < clock_timestamp()
               or c.status = 'processing' and coalesce(l.expires_at, '-infinity') < clock_timestamp()
               -- A new process of the same host gives back what the old one had only claimed; nobody else may judge that.
               or c.status = 'processing' and c.stage = 'claimed' and c.claimed_by <> l.instance_id
                  and c.host_id = semo.current_host())
        order by c.sequence
        for update of c skip locked
    loop
        select coalesce(max(l.expires_at), '-infinity') into v_lease_end from public.leases l where l.host_id = v_command.host_id;
        if v_command.status = 'pending' then
            perform semo.finish_command(v_command, 'system', false, null, 'timeout', 'It did not begin in time.', null);
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

alter table public.leases enable row level security;
alter table public.agent_sessions enable row level security;
alter table public.agent_commands enable row level security;
alter table public.agent_command_results enable row level security;
alter table public.agent_command_events enable row level security;

revoke all on public.leases, public.agent_sessions, public.agent_commands, public.agent_command_results,
    public.agent_command_events from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.leases, public.agent_sessions, public.agent_commands,
    public.agent_command_results, public.agent_command_events to service_role;
grant select on public.leases, public.agent_sessions, public.agent_commands, public.agent_command_results,
    public.agent_command_events to authenticated;

create policy "who sees a host sees its lease" on public.leases
    for select to authenticated using (semo.can_see_host(host_id));
create policy "members and the host read sessions" on public.agent_sessions
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));
create policy "members and the host read commands" on public.agent_commands
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));
create policy "members and the host read results" on public.agent_command_results
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));
create policy "members and the host read events" on public.agent_command_events
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));

-- Two private topics an office, because rights are per topic: `office:{id}` is written by its agents,
-- `office:{id}:hints` by its operators. Members and agents read both.
create function semo.topic_office(p_topic text) returns uuid
language sql immutable set search_path = '' as $$
    select substring(p_topic from '^office:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?::hints)?$')::uuid
$$;

create policy "members and agents listen to their office" on realtime.messages
    for select to authenticated using (
        extension = 'broadcast'
        and (semo.can_read(semo.topic_office((select realtime.topic()))) or semo.serves(semo.topic_office((select realtime.topic()))))
    );
create policy "agents tell their office, operators hint" on realtime.messages
    for insert to authenticated with check (
        extension = 'broadcast'
        and case when (select realtime.topic()) like '%:hints'
            then semo.can_operate(semo.topic_office((select realtime.topic())))
            else semo.serves(semo.topic_office((select realtime.topic())))
        end
    );

revoke all on all functions in schema semo from public, anon, authenticated, service_role;
grant execute on function semo.can_read(uuid), semo.can_operate(uuid), semo.can_administer(uuid), semo.current_host(),
    semo.serves(uuid), semo.can_see_host(uuid), semo.topic_office(text) to authenticated, service_role;

revoke all on function
    public.create_command(uuid, uuid, text, jsonb, uuid, bigint), public.cancel_command(uuid), public.command_outcome(uuid),
    public.renew_leases(uuid, boolean, integer), public.claim_commands(uuid, integer),
    public.report_stage(uuid, uuid, text, jsonb, jsonb),
    public.complete_command(uuid, uuid, boolean, jsonb, text, text, jsonb, jsonb),
    public.report_session(uuid, uuid, jsonb), public.expire_commands()
    from public, anon, authenticated, service_role;
grant execute on function
    public.create_command(uuid, uuid, text, jsonb, uuid, bigint), public.cancel_command(uuid), public.command_outcome(uuid),
    public.renew_leases(uuid, boolean, integer), public.claim_commands(uuid, integer),
    public.report_stage(uuid, uuid, text, jsonb, jsonb),
    public.complete_command(uuid, uuid, boolean, jsonb, text, text, jsonb, jsonb),
    public.report_session(uuid, uuid, jsonb), public.expire_commands()
    to authenticated;

do $$
declare
    v_table text;
begin
    foreach v_table in array array['agent_sessions', 'agent_commands', 'agent_command_results', 'agent_command_events'] loop
        if not exists (select 1 from pg_publication_tables
                       where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = v_table) then
            execute format('alter publication supabase_realtime add table public.%I', v_table);
        end if;
    end loop;
end $$;
