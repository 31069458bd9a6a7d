-- The profiles of agent CLIs that a host knows: how a job is given to each, and what says that it is done.

create table public.host_profiles (
    host_id      uuid not null references public.agent_hosts (id) on delete cascade,
    name         text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    description  text not null default '' check (length(description) <= 1000),
    cli_version  text check (length(cli_version) between 1 and 200),
    job_prompt   text not null check (job_prompt in ('verbatim', 'briefing')),
    done_by      text not null check (done_by in ('exit_status', 'nonce')),
    updated_at   timestamptz not null default now(),
    version      bigint not null default 0,
    primary key (host_id, name)
);
comment on table public.host_profiles is 'What the agent of a host found in its profiles when it started. cli_version null: not known.';
create trigger touch before insert or update on public.host_profiles for each row execute function semo.touch();

-- All profiles of the caller's host, in place of those before. What is as it was keeps its version.
create function public.report_profiles(p_instance uuid, p_profiles jsonb) returns setof public.host_profiles
language plpgsql security definer set search_path = '' as $$
declare
    v_host uuid := semo.leading_host(p_instance);
begin
    if jsonb_typeof(p_profiles) is distinct from 'array' or jsonb_array_length(p_profiles) > 100 then
        perform semo.refuse('invalid_payload', 'The profiles are a JSON array of at most 100.');
    end if;
    delete from public.host_profiles h
    where h.host_id = v_host and h.name not in (select p ->> 'name' from jsonb_array_elements(p_profiles) p);
    insert into public.host_profiles as h (host_id, name, description, cli_version, job_prompt, done_by)
    select v_host, p ->> 'name', coalesce(p ->> 'description', ''), p ->> 'cli_version', p ->> 'job_prompt', p ->> 'done_by'
    from jsonb_array_elements(p_profiles) p
    on conflict (host_id, name) do update
        set description = excluded.description, cli_version = excluded.cli_version,
            job_prompt = excluded.job_prompt, done_by = excluded.done_by
        where (h.description, h.cli_version, h.job_prompt, h.done_by)
            is distinct from (excluded.description, excluded.cli_version, excluded.job_prompt, excluded.done_by);
    return query select * from public.host_profiles h where h.host_id = v_host order by h.name;
end $$;

-- Rights ------------------------------------------------------------------------------------------

alter table public.host_profiles enable row level security;
revoke all on public.host_profiles from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.host_profiles to service_role;
grant select on public.host_profiles to authenticated;

create policy "who sees a host sees its profiles" on public.host_profiles
    for select to authenticated using (semo.can_see_host(host_id));

revoke all on function public.report_profiles(uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.report_profiles(uuid, jsonb) to authenticated;
