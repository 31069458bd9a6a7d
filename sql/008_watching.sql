-- Who watches which output, and what other clients are told as it happens.

-- Says to the agents of an office whose output somebody looks at. It is a broadcast and no row: a watch is worth nothing
-- once its watcher is gone, it lasts 30 s by the agent's own clock, and watchers renew it every 10 s. What a lost one
-- costs is the time to the next; an agent that starts asks for them at once (event `streaming`). A row would be written
-- just as often, and every agent would have to read it.
-- p_resync: of these sessions the watcher needs everything anew. p_watcher: one per client; its last call replaces those
-- before. Null: one for each user.
create function public.watch_sessions(
    p_office_id uuid, p_session_ids uuid[], p_resync uuid[] default '{}', p_watcher uuid default null
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not semo.can_read(p_office_id) then
        perform semo.refuse('forbidden', 'Only members of this office can watch its sessions.');
    end if;
    if p_session_ids is null or p_resync is null or cardinality(p_session_ids) > 100 or cardinality(p_resync) > 100 then
        perform semo.refuse('invalid_payload', 'Watch at most 100 sessions.');
    end if;
    perform realtime.send(
        jsonb_build_object(
            'v', 1,
            'watcher', coalesce(p_watcher, auth.uid()),
            'session_ids', to_jsonb(p_session_ids),
            'resync', to_jsonb(p_resync)
        ),
        'watch', 'office:' || p_office_id, true
    );
end $$;

-- Typed events for clients that only listen. They are made of the committed row and of nothing that a caller says: what
-- is announced is what is in the table. Hints stay what SEMO itself goes by.
create function semo.announce_session(p_session public.agent_sessions) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform realtime.send(
        jsonb_build_object('v', 1, 'session', to_jsonb(p_session)), 'session_status', 'office:' || p_session.office_id, true
    );
end $$;

-- Without what the command brought back: that may be long, and fewer may read it than hear the topic.
create function semo.announce_result(p_result public.agent_command_results) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform realtime.send(
        jsonb_build_object('v', 1, 'result', to_jsonb(p_result) - 'result'),
        'command_result', 'office:' || p_result.office_id, true
    );
end $$;

create function semo.announce() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_table_name = 'agent_sessions' then
        perform semo.announce_session(new);
    else
        perform semo.announce_result(new);
    end if;
    return null;
end $$;

create trigger announce_new after insert on public.agent_sessions
    for each row execute function semo.announce();
create trigger announce_status after update on public.agent_sessions
    for each row when ((old.status, old.reason) is distinct from (new.status, new.reason))
    execute function semo.announce();
create trigger announce after insert on public.agent_command_results
    for each row execute function semo.announce();

-- Once more, for a client that asks for it: what the table says now.
create function public.broadcast_session_status(p_office_id uuid, p_session_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_session public.agent_sessions;
begin
    select * into v_session from public.agent_sessions s
    where s.session_id = p_session_id and s.office_id = p_office_id
      and (semo.can_operate(s.office_id) or s.host_id = semo.current_host());
    if not found then
        perform semo.refuse('session_not_found', 'There is no such session that you may announce.');
    end if;
    perform semo.announce_session(v_session);
end $$;

create function public.broadcast_command_result(p_office_id uuid, p_command_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_result public.agent_command_results;
begin
    select * into v_result from public.agent_command_results r
    where r.command_id = p_command_id and r.office_id = p_office_id
      and (semo.can_operate(r.office_id) or r.host_id = semo.current_host());
    if not found then
        perform semo.refuse('invalid_payload', 'There is no result of such a command that you may announce.');
    end if;
    perform semo.announce_result(v_result);
end $$;

revoke all on function semo.announce_session(public.agent_sessions), semo.announce_result(public.agent_command_results),
    semo.announce() from public, anon, authenticated, service_role;
revoke all on function public.watch_sessions(uuid, uuid[], uuid[], uuid), public.broadcast_session_status(uuid, uuid),
    public.broadcast_command_result(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.watch_sessions(uuid, uuid[], uuid[], uuid), public.broadcast_session_status(uuid, uuid),
    public.broadcast_command_result(uuid, uuid) to authenticated;
