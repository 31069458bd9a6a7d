-- Circuit breakers: starting a CLI on a host is paused after it failed again and again.
--
--   closed ──failures reach the threshold──► open ──retry_at has passed, and somebody asks──► half-open
--     ▲ ▲                                     ▲                                                │   │
--     │ └──────────── a probe succeeded ──────┼────────────────────────────────────────────────┘   │
--     └── reset by hand                       └──────────────── a probe failed ────────────────────┘
--
-- One for each host and profile. `create_session` and the prompts of jobs pass it, whoever writes them, and nothing else
-- does: admission is a trigger of the command's insert, settlement one of its result's, so no path can forget either. What
-- passed has a permit, which names the breaker's round; each change of state begins a new round, and what was admitted in
-- an earlier one says nothing about this one. A probe is a permit of the half-open round whose command has not finished:
-- it is given back with its command, whoever dies. Time is this database's.
--
-- Two kinds of failure are counted. That the CLI starts proves that the terminal works, and not that its account may be
-- used again: only a turn proves that. Else each new session of a job would clear what the job's prompt is about to find.
--
-- Locks: the breaker comes last, after the session and the command.

-- Tables ------------------------------------------------------------------------------------------

create table public.circuit_breakers (
    host_id             uuid not null references public.agent_hosts (id) on delete cascade,
    profile             text not null check (length(profile) between 1 and 40),
    state               text not null default 'closed' check (state in ('closed', 'open', 'half-open')),
    failures            integer not null default 0,
    turn_failures       integer not null default 0,
    failure_threshold   integer not null default 3 check (failure_threshold between 1 and 1000),
    reset_timeout_ms    bigint not null default 60000 check (reset_timeout_ms between 1 and 86400000),
    half_open_requests  integer not null default 1 check (half_open_requests between 1 and 100),
    opened_at           timestamptz,
    retry_at            timestamptz,
    reason              text,
    manual              boolean not null default false,
    round               bigint not null default 0,
    updated_at          timestamptz not null default now(),
    version             bigint not null default 0,
    primary key (host_id, profile),
    check (turn_failures between 0 and failures),
    check ((state = 'closed') = (opened_at is null)),
    check ((state = 'open' and not manual) = (retry_at is not null)),
    check (not manual or state = 'open')
);
comment on table public.circuit_breakers is 'Whether a CLI is started on a host. No row: closed, and it has never failed.';
comment on column public.circuit_breakers.failures is 'Since the last success. turn_failures: those of them in which the CLI refused to work; a start does not clear them.';
comment on column public.circuit_breakers.retry_at is 'When the first probe is let through; null while an operator keeps it open (manual).';
comment on column public.circuit_breakers.reason is 'Why: the last failure, or what the operator said.';

create table semo.breaker_permits (
    command_id  uuid primary key references public.agent_commands (id) on delete cascade,
    host_id     uuid not null,
    profile     text not null,
    round       bigint not null
);
comment on table semo.breaker_permits is 'What has passed a breaker and has not finished. round: that of the breaker when it passed; 0: it had no row.';
create index breaker_permits_breaker on semo.breaker_permits (host_id, profile, round);

create trigger touch before insert or update on public.circuit_breakers for each row execute function semo.touch();

-- A breaker is of a host, and every office of the host is told. The key of the hint is the host.
create function semo.hint_breaker() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform realtime.send(
        jsonb_build_object('table', tg_table_name, 'id', new.host_id, 'profile', new.profile, 'version', new.version, 'op', lower(tg_op)),
        'hint', 'office:' || o.office_id, true)
    from public.office_hosts o where o.host_id = new.host_id order by o.office_id;
    return null;
end $$;
create trigger hint after insert or update on public.circuit_breakers for each row execute function semo.hint_breaker();

-- Admission ---------------------------------------------------------------------------------------

-- A probe whose command is overdue is one that nobody has yet come to end: it holds no place. A turn that goes on for as
-- long as a pause lasts holds none either: it may take an hour, and others need not wait for its end.
create function semo.probes_out(p_breaker public.circuit_breakers) returns integer
language sql security definer set search_path = '' as $$
    select count(*)::integer
    from semo.breaker_permits p
    join public.agent_commands c on c.id = p.command_id
    left join public.leases l on l.host_id = c.host_id
    where p_breaker.state = 'half-open'
      and (p.host_id, p.profile, p.round) = (p_breaker.host_id, p_breaker.profile, p_breaker.round)
      and case c.status
          when 'pending' then coalesce(c.start_by >= clock_timestamp(), true)
          when 'processing' then coalesce(l.expires_at, '-infinity') >= clock_timestamp() - interval '10 minutes'
              and not (c.stage = 'accepted'
                       and c.updated_at < clock_timestamp() - make_interval(secs => p_breaker.reset_timeout_ms / 1000.0))
          else false
      end
$$;

create function semo.refuse_by(p_breaker public.circuit_breakers) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_host text := (select h.name from public.agent_hosts h where h.id = p_breaker.host_id);
    v_because text := coalesce(rtrim(p_breaker.reason, '. '), 'no reason was given');
    v_failures text := format('%s %s', p_breaker.failures, case p_breaker.failures when 1 then 'failure' else 'failures' end);
begin
    perform semo.refuse('breaker_open', case
        when p_breaker.manual then
            format('Starting sessions of %s on %s was paused by hand (%s). `semo breaker reset` lifts it.',
                p_breaker.profile, v_host, v_because)
        when p_breaker.state = 'open' then
            format('Starting sessions of %s on %s is paused after %s (the last: %s); next try in %s s. `semo breaker reset` lifts it.',
                p_breaker.profile, v_host, v_failures, v_because,
                greatest(1, ceil(extract(epoch from p_breaker.retry_at - clock_timestamp()))))
        else
            format('Starting sessions of %s on %s is being tried again after %s (the last: %s); wait for that try. `semo breaker reset` lifts the pause.',
                p_breaker.profile, v_host, v_failures, v_because)
    end);
end $$;

-- The round in which something passes now. Refuses with `breaker_open`, which changes nothing.
create function semo.pass_breaker(p_host_id uuid, p_profile text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    v_breaker public.circuit_breakers;
begin
    select * into v_breaker from public.circuit_breakers b where b.host_id = p_host_id and b.profile = p_profile;
    if not found then
        return 0;
    end if;
    if v_breaker.state = 'closed' then
        return v_breaker.round;
    end if;
    -- Under the lock the next statement sees the probes of everybody who was here before.
    select * into strict v_breaker from public.circuit_breakers b
    where b.host_id = p_host_id and b.profile = p_profile for update;
    if v_breaker.state = 'open' and v_breaker.retry_at <= clock_timestamp() then
        update public.circuit_breakers b set state = 'half-open', retry_at = null, round = b.round + 1
        where b.host_id = p_host_id and b.profile = p_profile returning * into v_breaker;
    end if;
    if v_breaker.state = 'open'
       or v_breaker.state = 'half-open' and semo.probes_out(v_breaker) >= v_breaker.half_open_requests then
        perform semo.refuse_by(v_breaker);
    end if;
    return v_breaker.round;
end $$;

-- After the insert: the same id a second time fails there, and is answered with the row of the first.
create function semo.admit_command() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_profile text;
begin
    if new.command_type = 'send_prompt' and not exists (select 1 from public.job_attempts a where a.command_id = new.id) then
        return null;
    end if;
    select s.profile into strict v_profile from public.agent_sessions s where s.session_id = new.session_id;
    insert into semo.breaker_permits (command_id, host_id, profile, round)
    values (new.id, new.host_id, v_profile, semo.pass_breaker(new.host_id, v_profile));
    return null;
end $$;
create trigger admit after insert on public.agent_commands
    for each row when (new.command_type in ('create_session', 'send_prompt')) execute function semo.admit_command();

-- Settlement --------------------------------------------------------------------------------------

-- What a result says of its CLI; null: nothing. `started`, `turned`; `start_failed`, `turn_failed`. Of what had not begun
-- nothing is known, and a limit of the turn, a question or a draft is no fault of the CLI's.
create function semo.outcome_of(p_command public.agent_commands, p_result public.agent_command_results) returns text
language sql immutable set search_path = '' as $$
    select case
        when p_command.status <> 'processing' then null
        when p_result.error in ('launch_failed', 'terminal_unavailable') then 'start_failed'
        when p_result.error = 'timeout' and p_command.command_type = 'create_session' then 'start_failed'
        when p_result.result #>> '{failure,kind}' in ('rate_limit', 'auth') then 'turn_failed'
        when not p_result.success or jsonb_typeof(p_result.result -> 'failure') = 'object' then null
        when p_command.command_type = 'create_session' then 'started'
        else 'turned'
    end
$$;

create function semo.settle_command() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_permit semo.breaker_permits;
    v_command public.agent_commands;
begin
    delete from semo.breaker_permits p where p.command_id = new.command_id returning * into v_permit;
    if not found then
        return null;
    end if;
    select * into strict v_command from public.agent_commands c where c.id = new.command_id;
    perform semo.count_outcome(v_permit, v_command.session_id, semo.outcome_of(v_command, new),
        left(regexp_replace(coalesce(new.result #>> '{failure,message}', new.message, new.error), '\s+', ' ', 'g'), 500));
    return null;
end $$;
create trigger settle after insert on public.agent_command_results
    for each row execute function semo.settle_command();

create function semo.count_outcome(p_permit semo.breaker_permits, p_session_id uuid, p_outcome text, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_breaker public.circuit_breakers;
begin
    if p_outcome is null then
        return;
    end if;
    if p_outcome in ('start_failed', 'turn_failed') then
        insert into public.circuit_breakers (host_id, profile) values (p_permit.host_id, p_permit.profile)
        on conflict (host_id, profile) do nothing;
    end if;
    select * into v_breaker from public.circuit_breakers b
    where b.host_id = p_permit.host_id and b.profile = p_permit.profile;
    -- Most of all: a success of a breaker that has nothing to forget. It takes no lock.
    if v_breaker.host_id is null or v_breaker.round <> p_permit.round
       or v_breaker.failures = 0 and v_breaker.state = 'closed' and p_outcome in ('started', 'turned') then
        return;
    end if;
    perform 1 from public.agent_sessions s where s.session_id = p_session_id for no key update;
    select * into strict v_breaker from public.circuit_breakers b
    where b.host_id = p_permit.host_id and b.profile = p_permit.profile for update;
    if v_breaker.round <> p_permit.round then
        return;
    elsif p_outcome in ('start_failed', 'turn_failed') then
        perform semo.count_failure(v_breaker, p_outcome = 'turn_failed', p_reason);
    else
        perform semo.count_success(v_breaker, p_outcome = 'turned');
    end if;
end $$;

create function semo.count_failure(p_breaker public.circuit_breakers, p_in_turn boolean, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_opens boolean := p_breaker.state = 'half-open' or p_breaker.failures + 1 >= p_breaker.failure_threshold;
begin
    update public.circuit_breakers b set
        failures = b.failures + 1,
        turn_failures = b.turn_failures + p_in_turn::integer,
        reason = p_reason,
        state = case when v_opens then 'open' else b.state end,
        opened_at = case when v_opens then clock_timestamp() end,
        retry_at = case when v_opens then clock_timestamp() + make_interval(secs => b.reset_timeout_ms / 1000.0) end,
        round = b.round + v_opens::integer
    where b.host_id = p_breaker.host_id and b.profile = p_breaker.profile;
end $$;

-- What a success does not clear stays, and keeps the breaker half-open if it is enough to open it.
create function semo.count_success(p_breaker public.circuit_breakers, p_in_turn boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_left integer := case when p_in_turn then 0 else p_breaker.turn_failures end;
    v_closes boolean := p_breaker.state = 'half-open' and v_left < p_breaker.failure_threshold;
begin
    update public.circuit_breakers b set
        failures = v_left,
        turn_failures = v_left,
        reason = case when v_left > 0 then b.reason end,
        state = case when v_closes then 'closed' else b.state end,
        opened_at = case when v_closes then null else b.opened_at end,
        round = b.round + v_closes::integer
    where b.host_id = p_breaker.host_id and b.profile = p_breaker.profile;
end $$;

-- Operators ---------------------------------------------------------------------------------------

-- The breaker of a host that serves the caller's office, made if it is not there.
create function semo.operated_breaker(p_office_id uuid, p_host_id uuid, p_profile text) returns public.circuit_breakers
language plpgsql security definer set search_path = '' as $$
declare
    v_breaker public.circuit_breakers;
begin
    if not semo.can_operate(p_office_id)
       or not exists (select 1 from public.office_hosts o where o.office_id = p_office_id and o.host_id = p_host_id) then
        perform semo.refuse('forbidden', 'Only operators of an office that the host serves can do this.');
    end if;
    if coalesce(length(p_profile), 0) not between 1 and 40 then
        perform semo.refuse('invalid_payload', 'A profile has a name of 1 to 40 characters.');
    end if;
    insert into public.circuit_breakers (host_id, profile) values (p_host_id, p_profile)
    on conflict (host_id, profile) do nothing;
    select * into strict v_breaker from public.circuit_breakers b
    where b.host_id = p_host_id and b.profile = p_profile for update;
    return v_breaker;
end $$;

-- Until it is reset by hand: no time opens it again.
create function public.open_breaker(p_office_id uuid, p_host_id uuid, p_profile text, p_reason text default null)
returns public.circuit_breakers
language plpgsql security definer set search_path = '' as $$
declare
    v_breaker public.circuit_breakers := semo.operated_breaker(p_office_id, p_host_id, p_profile);
    v_profiles text[];
begin
    if length(p_reason) > 500 then
        perform semo.refuse('invalid_payload', 'A reason has at most 500 characters.');
    end if;
    -- A pause of a misspelt CLI would pause nothing.
    select array_agg(h.name order by h.name) into v_profiles from public.host_profiles h where h.host_id = p_host_id;
    if p_profile <> 'shell' and p_profile <> all (v_profiles) then
        perform semo.refuse('invalid_payload', format('This host has no profile %s; there are %s.',
            p_profile, array_to_string(v_profiles, ', ')));
    end if;
    update public.circuit_breakers b set
        state = 'open', manual = true, opened_at = clock_timestamp(), retry_at = null,
        reason = nullif(btrim(regexp_replace(p_reason, '\s+', ' ', 'g')), ''), round = b.round + 1
    where b.host_id = p_host_id and b.profile = p_profile returning * into v_breaker;
    return v_breaker;
end $$;

-- Closed, and nothing is held against it. What still runs from before says nothing about it any more.
create function public.reset_breaker(p_office_id uuid, p_host_id uuid, p_profile text) returns public.circuit_breakers
language plpgsql security definer set search_path = '' as $$
declare
    v_breaker public.circuit_breakers := semo.operated_breaker(p_office_id, p_host_id, p_profile);
begin
    update public.circuit_breakers b set
        state = 'closed', manual = false, opened_at = null, retry_at = null, reason = null,
        failures = 0, turn_failures = 0, round = b.round + 1
    where b.host_id = p_host_id and b.profile = p_profile returning * into v_breaker;
    return v_breaker;
end $$;

-- The breakers of an office's hosts, with the time to the first probe and the probes that are out.
create function public.office_breakers(p_office_id uuid)
returns table (breaker public.circuit_breakers, retry_in_ms bigint, probes integer)
language sql security definer set search_path = '' as $$
    select b, case when b.retry_at is not null then greatest(0, (extract(epoch from b.retry_at - clock_timestamp()) * 1000)::bigint) end,
        semo.probes_out(b)
    from public.circuit_breakers b join public.office_hosts o using (host_id)
    where o.office_id = p_office_id and semo.can_read(p_office_id)
    order by o.created_at, b.host_id, b.profile
$$;

-- Time --------------------------------------------------------------------------------------------

-- As before. The sleep of a host also stops the time in which its breakers wait.
create or replace function public.renew_leases(
    p_instance uuid, p_take boolean default false, p_ttl_ms integer default 15000, p_slept_ms bigint default 0
) returns public.leases
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.current_host();
    v_lease public.leases;
    v_until timestamptz := clock_timestamp() + make_interval(secs => p_ttl_ms / 1000.0);
    v_slept interval := make_interval(secs => p_slept_ms / 1000.0);
begin
    if v_host is null then
        perform semo.refuse('forbidden', 'Only a registered host may do this.');
    end if;
    if p_ttl_ms not between 1000 and 60000 then
        perform semo.refuse('invalid_payload', 'A lease lasts 1 to 60 seconds.');
    end if;
    if p_slept_ms not between 0 and 31536000000 then
        perform semo.refuse('invalid_payload', 'A machine sleeps 0 ms to a year.');
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
    -- In the transaction that makes the lease live again: nobody sees a live host whose commands are overdue by its sleep.
    if p_slept_ms > 0 then
        update public.circuit_breakers b set retry_at = b.retry_at + least(v_slept, clock_timestamp() - b.opened_at)
        where b.host_id = v_host and b.retry_at is not null;
        update public.agent_commands c set start_by = c.start_by + least(v_slept, clock_timestamp() - c.created_at)
        where c.host_id = v_host and c.status = 'pending' and c.start_by is not null;
    end if;
    return v_lease;
end $$;

-- Rights ------------------------------------------------------------------------------------------

alter table public.circuit_breakers enable row level security;
alter table semo.breaker_permits enable row level security;
revoke all on public.circuit_breakers, semo.breaker_permits from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.circuit_breakers to service_role;
grant select on public.circuit_breakers to authenticated;

create policy "who sees a host sees its breakers" on public.circuit_breakers
    for select to authenticated using (semo.can_see_host(host_id));

revoke all on function semo.hint_breaker(), semo.probes_out(public.circuit_breakers), semo.refuse_by(public.circuit_breakers),
    semo.pass_breaker(uuid, text), semo.admit_command(),
    semo.outcome_of(public.agent_commands, public.agent_command_results), semo.settle_command(),
    semo.count_outcome(semo.breaker_permits, uuid, text, text),
    semo.count_failure(public.circuit_breakers, boolean, text), semo.count_success(public.circuit_breakers, boolean),
    semo.operated_breaker(uuid, uuid, text)
    from public, anon, authenticated, service_role;

revoke all on function public.open_breaker(uuid, uuid, text, text), public.reset_breaker(uuid, uuid, text),
    public.office_breakers(uuid)
    from public, anon, authenticated, service_role;
grant execute on function public.open_breaker(uuid, uuid, text, text), public.reset_breaker(uuid, uuid, text),
    public.office_breakers(uuid) to authenticated;

do $$
begin
    if not exists (select 1 from pg_publication_tables
                   where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'circuit_breakers') then
        alter publication supabase_realtime add table public.circuit_breakers;
    end if;
end $$;
