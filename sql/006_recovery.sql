-- After a host slept, froze or died: what its commands may still do, and how anybody sees that hints arrive.

-- p_slept_ms: how long the machine slept since the last renewal. The time in which its commands could begin stood still.
drop function public.renew_leases(uuid, boolean, integer);
create function public.renew_leases(
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
        update public.agent_commands c set start_by = c.start_by + least(v_slept, clock_timestamp() - c.created_at)
        where c.host_id = v_host and c.status = 'pending' and c.start_by is not null;
    end if;
    return v_lease;
end $$;

-- One step on the receipt. Steps go forward only; the same step again is no error and no second event. `claimed` is
-- no step: it asks whether the claim still holds, before an agent types that was out of reach for a while.
-- Returns the stage, and whether the session has commands that wait: they may be claimable now.
create or replace function public.report_stage(
    p_command_id uuid, p_claim_token uuid, p_stage text, p_evidence jsonb default '{}', p_session jsonb default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_command public.agent_commands := semo.fenced_command(p_command_id, p_claim_token);
begin
    if p_stage not in ('claimed', 'typed', 'accepted') then
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

-- What is overdue, in the offices and on the host of the caller. Whoever waits calls it; it does what is due, once.
create or replace function public.expire_commands() returns integer
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

-- A ring on the office's topic: whoever hears it knows that hints arrive end to end, without a row having to change.
create function public.ring_office(p_office_id uuid, p_nonce uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not (semo.can_read(p_office_id) or semo.serves(p_office_id)) then
        perform semo.refuse('forbidden', 'Only members and hosts of this office can ring it.');
    end if;
    perform realtime.send(jsonb_build_object('nonce', p_nonce), 'canary', 'office:' || p_office_id, true);
end $$;

revoke all on function public.renew_leases(uuid, boolean, integer, bigint), public.ring_office(uuid, uuid)
    from public, anon, authenticated, service_role;
grant execute on function public.renew_leases(uuid, boolean, integer, bigint), public.ring_office(uuid, uuid) to authenticated;
