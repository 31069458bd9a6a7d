create table public.members (
  topic text not null,
  user_id uuid not null references auth.users (id),
  may_write boolean not null default false,
  primary key (topic, user_id)
);
alter table public.members enable row level security;
grant select on public.members to authenticated;
create policy own_membership on public.members for select to authenticated using (user_id = (select auth.uid()));

create policy members_read on realtime.messages for select to authenticated
  using (exists (select from public.members m where m.topic = (select realtime.topic()) and m.user_id = (select auth.uid())));
create policy members_write on realtime.messages for insert to authenticated
  with check (exists (select from public.members m
                       where m.topic = (select realtime.topic()) and m.user_id = (select auth.uid()) and m.may_write));

create function public.announce(topic text, body jsonb, private boolean default true) returns void
language plpgsql security definer set search_path = '' as $$
begin perform realtime.send(body, 'news', topic, private); end $$;
revoke execute on function public.announce(text, jsonb, boolean) from public;
grant execute on function public.announce(text, jsonb, boolean) to authenticated;
