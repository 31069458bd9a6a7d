-- The office: who belongs to it, where it runs, who is on its team.
-- Runs as the non-superuser `postgres`, unchanged on Supabase (15, 17) and on the hub (18).
--
-- Schema `semo` holds what policies and functions share. REST exposes `public` only.

create schema semo;
revoke all on schema semo from public;
grant usage on schema semo to authenticated, service_role;

-- One sequence numbers every change of every watched table: `version` orders and deduplicates what a watcher reads.
create sequence semo.change_seq;

-- Tables ------------------------------------------------------------------------------------------

create table public.offices (
    id          uuid primary key default gen_random_uuid(),
    name        text not null check (length(name) between 1 and 100),
    repo_path   text not null check (length(repo_path) between 1 and 4096),
    created_by  uuid not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    deleted_at  timestamptz,
    version     bigint not null default 0
);
comment on table public.offices is 'A repository with a team.';
-- Two `semo up` in one folder at the same moment make one office.
create unique index offices_one_per_folder on public.offices (created_by, repo_path) where deleted_at is null;

create table public.office_members (
    office_id   uuid not null references public.offices (id) on delete cascade,
    user_id     uuid not null,
    role        text not null check (role in ('viewer', 'operator', 'admin')),
    created_at  timestamptz not null default now(),
    primary key (office_id, user_id)
);
comment on table public.office_members is 'viewer reads, operator sends, admin changes the office.';
create index office_members_user_id on public.office_members (user_id);

create table public.agent_personas (
    id              uuid primary key default gen_random_uuid(),
    office_id       uuid references public.offices (id) on delete cascade,
    role            text not null check (length(role) between 1 and 40),
    name            text not null,
    persona_prompt  text not null,
    scope_patterns  text[] not null default '{}',
    core_skills     text[] not null default '{}',
    is_default      boolean not null default false,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    version         bigint not null default 0
);
comment on table public.agent_personas is 'How a role works; office_id null is for every office.';
create unique index agent_personas_one_default on public.agent_personas (coalesce(office_id::text, ''), role) where is_default;

create table public.agent_hosts (
    id            uuid primary key default gen_random_uuid(),
    user_id       uuid not null unique,
    owner_id      uuid not null,
    name          text not null check (length(name) between 1 and 200),
    runs_for      text not null default 'owner' check (runs_for in ('owner', 'operators', 'jobs')),
    last_seen_at  timestamptz,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    version       bigint not null default 0
);
comment on table public.agent_hosts is 'A machine running the agent. user_id: its own identity; owner_id: whose machine it is; runs_for: whose commands it runs.';
create index agent_hosts_owner_id on public.agent_hosts (owner_id);

create table public.office_hosts (
    office_id     uuid not null references public.offices (id) on delete cascade,
    host_id       uuid not null references public.agent_hosts (id) on delete cascade,
    repo_path     text not null check (length(repo_path) between 1 and 4096),
    terminal      text not null default 'auto' check (terminal in ('auto', 'pty', 'tmux', 'iterm2')),
    max_sessions  integer not null default 50 check (max_sessions between 1 and 500),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    version       bigint not null default 0,
    primary key (office_id, host_id)
);
comment on table public.office_hosts is 'Placement: which hosts an office may use, and how.';
create index office_hosts_host_id on public.office_hosts (host_id);

create table public.worktrees (
    id           uuid primary key default gen_random_uuid(),
    office_id    uuid not null references public.offices (id) on delete cascade,
    host_id      uuid not null references public.agent_hosts (id) on delete cascade,
    path         text not null,
    branch_name  text not null,
    status       text not null default 'creating' check (status in ('creating', 'ready', 'dirty', 'failed', 'removed')),
    reason       text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    deleted_at   timestamptz,
    version      bigint not null default 0
);
create index worktrees_office_id on public.worktrees (office_id);
create unique index worktrees_one_per_path on public.worktrees (host_id, path) where deleted_at is null;

create table public.office_agents (
    id            uuid primary key default gen_random_uuid(),
    office_id     uuid not null references public.offices (id) on delete cascade,
    persona_id    uuid references public.agent_personas (id) on delete set null,
    role          text not null check (length(role) between 1 and 40),
    name          text not null check (length(name) between 1 and 100),
    status        text not null default 'idle' check (status in ('idle', 'working', 'blocked', 'error')),
    current_task  text,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    deleted_at    timestamptz,
    version       bigint not null default 0
);
create index office_agents_office_id on public.office_agents (office_id);

create table public.job_queue (
    id            uuid primary key default gen_random_uuid(),
    office_id     uuid not null references public.offices (id) on delete cascade,
    agent_id      uuid references public.office_agents (id) on delete set null,
    worktree_id   uuid references public.worktrees (id) on delete set null,
    role          text not null check (length(role) between 1 and 40),
    title         text not null check (length(title) between 1 and 200),
    description   text not null,
    status        text not null default 'pending'
                  check (status in ('pending', 'ready', 'processing', 'needs_review', 'done', 'failed', 'cancelled')),
    depends_on    uuid[] not null default '{}',
    priority      integer not null default 100,
    branch_name   text,
    pr_number     integer,
    metadata      jsonb not null default '{}',
    created_by    uuid not null,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,
    completed_at  timestamptz,
    updated_at    timestamptz not null default now(),
    version       bigint not null default 0
);
comment on column public.job_queue.priority is 'A lower number goes first.';
create index job_queue_office_id_status on public.job_queue (office_id, status);

-- Refusals ----------------------------------------------------------------------------------------

-- The message is one of the closed set of error codes, the detail the sentence a person reads,
-- the SQLSTATE the HTTP status that PostgREST makes of it.
create function semo.refuse(p_code text, p_sentence text) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception using
        message = p_code,
        detail = p_sentence,
        errcode = case p_code
            when 'forbidden' then 'PT403'
            when 'session_not_found' then 'PT404'
            when 'invalid_payload' then 'PT422'
            else 'PT409'
        end;
end $$;

-- Who is asking -----------------------------------------------------------------------------------

create function semo.member_role(p_office_id uuid) returns text
language sql stable security definer set search_path = '' as $$
    select m.role from public.office_members m
    where m.office_id = p_office_id and m.user_id = (select auth.uid())
$$;

create function semo.can_read(p_office_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select semo.member_role(p_office_id) is not null
$$;

create function semo.can_operate(p_office_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select coalesce(semo.member_role(p_office_id) in ('operator', 'admin'), false)
$$;

create function semo.can_administer(p_office_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select coalesce(semo.member_role(p_office_id) = 'admin', false)
$$;

create function semo.current_host() returns uuid
language sql stable security definer set search_path = '' as $$
    select h.id from public.agent_hosts h where h.user_id = (select auth.uid())
$$;

create function semo.serves(p_office_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.office_hosts o
        where o.office_id = p_office_id and o.host_id = semo.current_host()
    )
$$;

-- A host is seen by its owner, by itself, and by the members of the offices that it serves.
create function semo.can_see_host(p_host_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select 1 from public.agent_hosts h
        where h.id = p_host_id and (select auth.uid()) in (h.user_id, h.owner_id)
    ) or exists (
        select 1 from public.office_hosts o
        where o.host_id = p_host_id and semo.can_read(o.office_id)
    )
$$;

-- Versions and hints ------------------------------------------------------------------------------

create function semo.touch() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.version := nextval('semo.change_seq');
    new.updated_at := clock_timestamp();
    return new;
end $$;

-- A hint says "this row was made" or "this row changed": read it by its key. Arguments: key column, office column.
-- realtime.send is SECURITY INVOKER, so it is called from a definer that row-level security does not bind.
create function semo.hint() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_row jsonb := to_jsonb(new);
begin
    perform realtime.send(
        jsonb_build_object('table', tg_table_name, 'id', v_row -> tg_argv[0], 'version', new.version, 'op', lower(tg_op)),
        'hint',
        'office:' || (v_row ->> tg_argv[1]),
        true
    );
    return null;
end $$;

create trigger touch before insert or update on public.offices for each row execute function semo.touch();
create trigger touch before insert or update on public.agent_personas for each row execute function semo.touch();
create trigger touch before insert or update on public.agent_hosts for each row execute function semo.touch();
create trigger touch before insert or update on public.office_hosts for each row execute function semo.touch();
create trigger touch before insert or update on public.worktrees for each row execute function semo.touch();
create trigger touch before insert or update on public.office_agents for each row execute function semo.touch();
create trigger touch before insert or update on public.job_queue for each row execute function semo.touch();

create trigger hint after insert or update on public.offices for each row execute function semo.hint('id', 'id');
create trigger hint after insert or update on public.office_hosts for each row execute function semo.hint('host_id', 'office_id');
create trigger hint after insert or update on public.worktrees for each row execute function semo.hint('id', 'office_id');
create trigger hint after insert or update on public.office_agents for each row execute function semo.hint('id', 'office_id');
create trigger hint after insert or update on public.job_queue for each row execute function semo.hint('id', 'office_id');

-- Commands on offices and hosts -------------------------------------------------------------------

-- The caller becomes the admin. A second call for the same folder returns the office that is there.
create function public.create_office(p_id uuid, p_name text, p_repo_path text) returns public.offices
language plpgsql security definer set search_path = '' as $$
declare
    v_user uuid := auth.uid();
    v_office public.offices;
begin
    if v_user is null or semo.current_host() is not null then
        perform semo.refuse('forbidden', 'A host can''t make an office; sign in as its operator.');
    end if;
    insert into public.offices (id, name, repo_path, created_by) values (p_id, p_name, p_repo_path, v_user)
    on conflict (created_by, repo_path) where deleted_at is null do nothing
    returning * into v_office;
    if v_office.id is not null then
        insert into public.office_members (office_id, user_id, role) values (v_office.id, v_user, 'admin');
        return v_office;
    end if;
    select * into strict v_office from public.offices o
    where o.created_by = v_user and o.repo_path = p_repo_path and o.deleted_at is null;
    return v_office;
end $$;

-- Called by the host under its own identity. The owner still has to attach it to an office.
create function public.register_host(p_id uuid, p_name text, p_owner_id uuid) returns public.agent_hosts
language plpgsql security definer set search_path = '' as $$
declare
    v_user uuid := auth.uid();
    v_host public.agent_hosts;
begin
    if v_user is null or v_user = p_owner_id
       or exists (select 1 from public.office_members m where m.user_id = v_user) then
        perform semo.refuse('forbidden', 'A host needs an identity of its own: this one is a person''s.');
    end if;
    insert into public.agent_hosts (id, user_id, owner_id, name) values (p_id, v_user, p_owner_id, p_name)
    on conflict (user_id) do update set name = excluded.name
        where agent_hosts.id = excluded.id and agent_hosts.owner_id = excluded.owner_id
    returning * into v_host;
    if v_host.id is null then
        perform semo.refuse('conflict', 'This identity is registered for another host or owner.');
    end if;
    return v_host;
end $$;

create function public.attach_host(
    p_office_id uuid, p_host_id uuid, p_repo_path text,
    p_terminal text default 'auto', p_max_sessions integer default 50
) returns public.office_hosts
language plpgsql security definer set search_path = '' as $$
declare
    v_place public.office_hosts;
begin
    if not semo.can_administer(p_office_id) or not exists (
        select 1 from public.agent_hosts h where h.id = p_host_id and h.owner_id = auth.uid()
    ) then
        perform semo.refuse('forbidden', 'Only an admin of the office who owns the host can attach it.');
    end if;
    insert into public.office_hosts (office_id, host_id, repo_path, terminal, max_sessions)
    values (p_office_id, p_host_id, p_repo_path, p_terminal, p_max_sessions)
    on conflict (office_id, host_id) do update
        set repo_path = excluded.repo_path, terminal = excluded.terminal, max_sessions = excluded.max_sessions
    returning * into v_place;
    return v_place;
end $$;

-- Rights: nothing is granted by default, and every policy names its role ---------------------------

alter table public.offices enable row level security;
alter table public.office_members enable row level security;
alter table public.agent_personas enable row level security;
alter table public.agent_hosts enable row level security;
alter table public.office_hosts enable row level security;
alter table public.worktrees enable row level security;
alter table public.office_agents enable row level security;
alter table public.job_queue enable row level security;

revoke all on public.offices, public.office_members, public.agent_personas, public.agent_hosts, public.office_hosts,
    public.worktrees, public.office_agents, public.job_queue from public, anon, authenticated, service_role;

grant select, insert, update, delete on public.offices, public.office_members, public.agent_personas,
    public.agent_hosts, public.office_hosts, public.worktrees, public.office_agents, public.job_queue to service_role;

grant select on public.offices, public.office_members, public.agent_personas, public.agent_hosts, public.office_hosts,
    public.worktrees, public.office_agents, public.job_queue to authenticated;
grant update (name) on public.offices to authenticated;
grant insert (office_id, user_id, role), update (role), delete on public.office_members to authenticated;
grant insert (id, office_id, role, name, persona_prompt, scope_patterns, core_skills, is_default),
    update (role, name, persona_prompt, scope_patterns, core_skills, is_default), delete
    on public.agent_personas to authenticated;
grant update (name, runs_for) on public.agent_hosts to authenticated;
grant insert (id, office_id, persona_id, role, name), update (persona_id, role, name, deleted_at)
    on public.office_agents to authenticated;

create policy "members and hosts read their office" on public.offices
    for select to authenticated using (semo.can_read(id) or semo.serves(id));
create policy "admins rename their office" on public.offices
    for update to authenticated using (semo.can_administer(id)) with check (semo.can_administer(id));

create policy "members read the members" on public.office_members
    for select to authenticated using (semo.can_read(office_id));
create policy "admins add members" on public.office_members
    for insert to authenticated with check (semo.can_administer(office_id));
create policy "admins change members" on public.office_members
    for update to authenticated using (semo.can_administer(office_id)) with check (semo.can_administer(office_id));
create policy "admins remove members" on public.office_members
    for delete to authenticated using (semo.can_administer(office_id));

create policy "members and hosts read personas" on public.agent_personas
    for select to authenticated using (office_id is null or semo.can_read(office_id) or semo.serves(office_id));
create policy "admins add personas" on public.agent_personas
    for insert to authenticated with check (semo.can_administer(office_id));
create policy "admins change personas" on public.agent_personas
    for update to authenticated using (semo.can_administer(office_id)) with check (semo.can_administer(office_id));
create policy "admins remove personas" on public.agent_personas
    for delete to authenticated using (semo.can_administer(office_id));

create policy "owners, members and the host itself read a host" on public.agent_hosts
    for select to authenticated using (semo.can_see_host(id));
create policy "owners change their host" on public.agent_hosts
    for update to authenticated using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));

create policy "members and hosts read placements" on public.office_hosts
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));

create policy "members and the host read worktrees" on public.worktrees
    for select to authenticated using (semo.can_read(office_id) or host_id = (select semo.current_host()));

create policy "members and hosts read the team" on public.office_agents
    for select to authenticated using (semo.can_read(office_id) or semo.serves(office_id));
create policy "admins add to the team" on public.office_agents
    for insert to authenticated with check (semo.can_administer(office_id));
create policy "admins change the team" on public.office_agents
    for update to authenticated using (semo.can_administer(office_id)) with check (semo.can_administer(office_id));

create policy "members read jobs" on public.job_queue
    for select to authenticated using (semo.can_read(office_id));

revoke all on all functions in schema semo from public, anon, authenticated, service_role;
grant execute on function semo.can_read(uuid), semo.can_operate(uuid), semo.can_administer(uuid), semo.current_host(),
    semo.serves(uuid), semo.can_see_host(uuid) to authenticated, service_role;

revoke all on function public.create_office(uuid, text, text), public.register_host(uuid, text, uuid),
    public.attach_host(uuid, uuid, text, text, integer) from public, anon, authenticated, service_role;
grant execute on function public.create_office(uuid, text, text), public.register_host(uuid, text, uuid),
    public.attach_host(uuid, uuid, text, text, integer) to authenticated;

-- The team's roles --------------------------------------------------------------------------------

insert into public.agent_personas (role, name, persona_prompt, scope_patterns, core_skills, is_default) values
    ('PO', 'Product owner', 'You own the product: goals, specifications and priorities. You write what is wanted and why, and leave code to others.',
        array['docs/**', '.github/ISSUE_TEMPLATE/**', 'README.md'], array['ideate', 'generate-spec'], true),
    ('PM', 'Project manager', 'You keep the work moving: plan, order, dependencies, what is late and who waits for whom.',
        array['README.md', '.github/**', 'docs/project/**'], array['planner', 'report'], true),
    ('Architect', 'Architect', 'You decide structure and contracts between parts, and write down the reasons.',
        array['**/types/**', 'src/lib/**', 'docs/architecture/**'], array['planner', 'write-code'], true),
    ('FE', 'Frontend developer', 'You build what people see and touch, and you test it as they use it.',
        array['src/app/**', 'src/components/**', 'src/styles/**', 'src/hooks/**'], array['write-code', 'create-pr', 'request-test'], true),
    ('BE', 'Backend developer', 'You build services and data: correct first, measured second, simple always.',
        array['src/api/**', 'src/lib/**', 'src/server/**'], array['write-code', 'create-pr', 'request-test'], true),
    ('QA', 'Tester', 'You find out what does not hold. You write tests that can fail, and say exactly how to see a defect.',
        array['tests/**', 'e2e/**', '__tests__/**'], array['write-test', 'request-test'], true),
    ('DevOps', 'Operations engineer', 'You make builds, deployments and machines boring.',
        array['.github/workflows/**', 'docker/**', 'Dockerfile', 'Makefile', '.env.example'], array['deploy', 'write-code'], true);

-- Publication, for any client that listens to the tables themselves --------------------------------

do $$
declare
    v_table text;
begin
    if not exists (select 1 from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    foreach v_table in array array['offices', 'office_hosts', 'worktrees', 'office_agents', 'job_queue'] loop
        if not exists (select 1 from pg_publication_tables
                       where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = v_table) then
            execute format('alter publication supabase_realtime add table public.%I', v_table);
        end if;
    end loop;
end $$;
