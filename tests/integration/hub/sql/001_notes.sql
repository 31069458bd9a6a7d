create table public.notes (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null default auth.uid() references auth.users (id),
  title text not null check (title <> 'forbidden'),
  rank int unique,
  data jsonb,
  tags text[] not null default '{}',
  made_at timestamptz not null default now()
);
alter table public.notes enable row level security;
grant select, insert, update, delete on public.notes to authenticated, service_role;
create policy notes_of_owner on public.notes to authenticated
  using (owner = (select auth.uid())) with check (owner = (select auth.uid()));

create table public.numbers (n int primary key);
insert into public.numbers select generate_series(1, 1200);
alter table public.numbers enable row level security;
grant select on public.numbers to authenticated;
create policy numbers_for_all on public.numbers for select to authenticated using (n > 0);

create function public.one() returns int language sql as 'select 1';
create function public.add(a int, b int default 10) returns int language sql as 'select a + b';
create function public.total(items int[]) returns bigint language sql as 'select sum(i) from unnest(items) i';
create function public.whoami() returns uuid language sql as 'select auth.uid()';
create function public.nothing() returns void language sql as 'select';
create function public.letters() returns setof text language sql as $$ values ('a'), ('b') $$;
create function public.my_notes() returns setof public.notes language sql stable as 'select * from public.notes';
create function public.pair() returns table (x int, y text) language sql as $$ values (1, 'one'), (2, 'two') $$;
create function public.best_note() returns public.notes language sql stable as
  'select * from public.notes order by rank desc nulls last limit 1';
create function public.fail(message text) returns void language plpgsql as $$
begin raise exception '%', message using detail = 'a detail', hint = 'a hint'; end $$;
create function public.teapot() returns void language plpgsql as $$
begin raise sqlstate 'PT418' using message = 'short and stout'; end $$;
create function public.sleeps(seconds float) returns void language sql as 'select pg_sleep(seconds)';
create function public.setting(name text) returns text language sql as 'select current_setting(name, true)';
create function public.write_anyway() returns void language sql security definer set search_path = '' as
  $$ insert into public.numbers values (-1) $$;
create function public.hidden() returns int language sql as 'select 1';

revoke execute on all functions in schema public from public;
grant execute on all functions in schema public to authenticated, service_role;
revoke execute on function public.hidden() from authenticated;
grant execute on function public.one(), public.sleeps(float) to anon;
