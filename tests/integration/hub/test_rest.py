"""`/rest/v1` with the real client: tables and functions as PostgREST serves them."""

import asyncio
import uuid
from typing import Any

import httpx
import psycopg
import pytest
from postgrest.exceptions import APIError
from postgrest.types import CountMethod
from supabase import AsyncClient

from tests.integration.hub.conftest import SignIn, make_user
from tests.integration.hub_fixture import RunningHub

EXACT = CountMethod.exact


async def data(query: Any) -> Any:
    """What a query of any kind answers; the builders share no public base."""
    return (await query.execute()).data


async def error_of(query: Any) -> APIError:
    with pytest.raises(APIError) as caught:
        await query.execute()
    return caught.value


async def add_note(client: AsyncClient, title: str, **columns: Any) -> Any:
    return (await data(client.table("notes").insert({"title": title, **columns})))[0]


async def test_an_inserted_row_comes_back_with_its_defaults(client: AsyncClient, user_id: str) -> None:
    row = await add_note(client, "한글 🙂", tags=["a", 'b"c'])
    assert (row["title"], row["owner"], row["tags"], row["rank"]) == ("한글 🙂", user_id, ["a", 'b"c'], None)


async def test_rows_of_others_are_neither_seen_nor_changed(
    client: AsyncClient, sign_in: SignIn, superuser: psycopg.Connection
) -> None:
    note_id = (await add_note(client, "mine"))["id"]
    notes = (await sign_in(make_user(superuser))).table("notes")
    assert await data(notes.select("*").eq("id", note_id)) == []
    assert await data(notes.update({"title": "x"}).eq("id", note_id)) == []
    assert await data(notes.delete().eq("id", note_id)) == []
    assert await data(client.table("notes").select("title").eq("id", note_id)) == [{"title": "mine"}]


async def test_update_and_delete_return_the_rows_they_changed(client: AsyncClient) -> None:
    note_id = (await add_note(client, "old"))["id"]
    changed = await data(client.table("notes").update({"title": "new", "data": {"k": [1]}}).eq("id", note_id))
    assert [(row["title"], row["data"]) for row in changed] == [("new", {"k": [1]})]
    assert [row["id"] for row in await data(client.table("notes").delete().eq("id", note_id))] == [note_id]


async def test_filters_narrow_and_order_sorts(client: AsyncClient) -> None:
    rows = client.table("numbers").select("n").gte("n", 3).lt("n", 9).neq("n", 5).not_.in_("n", [6, 7])
    assert [row["n"] for row in await data(rows.order("n", desc=True))] == [8, 4, 3]


async def test_either_of_two_conditions_is_enough(client: AsyncClient) -> None:
    rows = client.table("numbers").select("n").or_("n.eq.1,and(n.gt.1198,n.not.eq.1199)").order("n")
    assert [row["n"] for row in await data(rows)] == [1, 1200]


async def test_texts_match_by_pattern_list_and_null(client: AsyncClient) -> None:
    titles = ["apple", "Apricot", 'comma, "quote"', "50%"]
    await data(client.table("notes").insert([{"title": title} for title in titles]))
    notes = client.table("notes")
    matching = await data(notes.select("title").ilike("title", "ap%").order("title"))
    assert [row["title"] for row in matching] == ["Apricot", "apple"]
    assert len(await data(notes.select("title").in_("title", titles[2:]))) == 2
    assert len(await data(notes.select("title").is_("rank", "null"))) == 4
    assert len(await data(notes.select("title").not_.is_("rank", "null"))) == 0


async def test_a_json_path_is_selected_and_filtered(client: AsyncClient) -> None:
    await add_note(client, "t", data={"deep": {"er": "found"}})
    rows = client.table("notes").select("who:data->deep->>er").eq("data->deep->>er", "found")
    assert await data(rows) == [{"who": "found"}]


async def test_nulls_go_where_they_are_told(client: AsyncClient) -> None:
    await add_note(client, "a", rank=uuid.uuid4().int % 10**8)
    await add_note(client, "b", rank=None)
    titles = client.table("notes").select("title")
    first = await data(titles.order("rank", nullsfirst=True).limit(1))
    titles = client.table("notes").select("title")
    last = await data(titles.order("rank", desc=True, nullsfirst=False).limit(1))
    assert (first, last) == ([{"title": "b"}], [{"title": "a"}])


async def test_no_answer_holds_more_than_a_thousand_rows(client: AsyncClient) -> None:
    everything = await client.table("numbers").select("n", count=EXACT).execute()
    assert (len(everything.data), everything.count) == (1000, 1200)
    page = await data(client.table("numbers").select("n").order("n").range(1000, 1999))
    assert [page[0]["n"], page[-1]["n"]] == [1001, 1200]


async def test_a_count_alone_has_no_rows(client: AsyncClient) -> None:
    answer = await client.table("numbers").select("n", count=EXACT, head=True).lte("n", 7).execute()
    assert answer.count == 7


async def test_an_offset_beyond_the_end_is_refused(client: AsyncClient) -> None:
    query = client.table("numbers").select("n", count=EXACT).range(5000, 5001)
    assert (await error_of(query)).code == "PGRST103"


async def test_single_takes_exactly_one_row(client: AsyncClient) -> None:
    assert await data(client.table("numbers").select("n").eq("n", 5).single()) == {"n": 5}
    assert (await error_of(client.table("numbers").select("n").lt("n", 3).single())).code == "PGRST116"
    assert (await client.table("numbers").select("n").eq("n", 0).maybe_single().execute()) is None


async def test_an_upsert_changes_or_leaves_the_row_that_exists(client: AsyncClient) -> None:
    notes, rank = client.table("notes"), uuid.uuid4().int % 10**8
    await add_note(client, "first", rank=rank)
    merged = await data(notes.upsert({"title": "second", "rank": rank}, on_conflict="rank"))
    third = {"title": "third", "rank": rank}
    ignored = await data(notes.upsert(third, on_conflict="rank", ignore_duplicates=True))
    rows = await data(notes.select("title").eq("rank", rank))
    assert ([row["title"] for row in merged], ignored, rows) == (["second"], [], [{"title": "second"}])


async def test_an_upsert_uses_the_primary_key_by_itself(client: AsyncClient) -> None:
    note_id = (await add_note(client, "before"))["id"]
    await data(client.table("notes").upsert({"id": note_id, "title": "after"}))
    assert await data(client.table("notes").select("title").eq("id", note_id)) == [{"title": "after"}]


async def test_a_change_of_too_many_rows_is_rolled_back(client: AsyncClient) -> None:
    await data(client.table("notes").insert([{"title": "keep"}, {"title": "keep"}]))
    query = client.table("notes").update({"title": "lost"}).eq("title", "keep").max_affected(1)
    assert (await error_of(query)).code == "PGRST124"
    assert len(await data(client.table("notes").select("id").eq("title", "keep"))) == 2


async def test_a_duplicate_is_a_conflict_and_nothing_is_kept(client: AsyncClient) -> None:
    rank = uuid.uuid4().int % 10**8
    twice = client.table("notes").insert([{"title": "a", "rank": rank}, {"title": "b", "rank": rank}])
    assert (await error_of(twice)).code == "23505"
    assert await data(client.table("notes").select("id").eq("rank", rank)) == []


@pytest.mark.parametrize(
    ("arguments", "get", "expected"),
    [({"a": 1}, False, 11), ({"a": 1, "b": 2}, False, 3), ({"a": 1}, True, 11), ({"a": -1, "b": 2}, True, 1)],
)
async def test_a_function_takes_its_arguments_by_name(
    client: AsyncClient, arguments: dict[str, Any], get: bool, expected: int
) -> None:
    assert await data(client.rpc("add", arguments, get=get)) == expected


async def test_a_function_takes_an_array(client: AsyncClient) -> None:
    assert await data(client.rpc("total", {"items": [1, 2, 3]})) == 6
    assert await data(client.rpc("total", {"items": [1, 2, 3]}, get=True)) == 6


async def test_every_form_of_result_comes_back(client: AsyncClient, user_id: str) -> None:
    await add_note(client, "only")
    assert await data(client.rpc("whoami")) == user_id
    assert await data(client.rpc("letters")) == ["a", "b"]
    assert await data(client.rpc("pair")) == [{"x": 1, "y": "one"}, {"x": 2, "y": "two"}]
    assert (await data(client.rpc("best_note")))["title"] == "only"
    assert [note["title"] for note in await data(client.rpc("my_notes"))] == ["only"]
    assert await data(client.rpc("nothing")) == []


async def test_rows_of_a_function_are_filtered_and_counted(client: AsyncClient) -> None:
    query: Any = client.rpc("pair", count=EXACT)
    rows = await query.select("y").eq("x", 2).execute()
    assert (rows.data, rows.count) == ([{"y": "two"}], 1)
    one: Any = client.rpc("pair")
    assert await data(one.select("*").eq("x", 1).single()) == {"x": 1, "y": "one"}


async def test_an_error_of_a_function_arrives_with_all_its_parts(client: AsyncClient) -> None:
    err = await error_of(client.rpc("fail", {"message": "no way"}))
    assert (err.code, err.message, err.details, err.hint) == ("P0001", "no way", "a detail", "a hint")


async def test_the_settings_of_a_role_hold_for_its_requests(client: AsyncClient) -> None:
    assert await data(client.rpc("setting", {"name": "statement_timeout"})) == "8s"
    assert await data(client.rpc("setting", {"name": "role"})) == "authenticated"


async def test_sql_sees_the_request_but_not_its_keys(hub: RunningHub, client: AsyncClient) -> None:
    assert await data(client.rpc("setting", {"name": "request.path"})) == "/rest/v1/rpc/setting"
    headers = await data(client.rpc("setting", {"name": "request.headers"}))
    assert "user-agent" in headers
    assert hub.keys.publishable_key not in headers
    assert "authorization" not in headers


async def test_a_table_made_later_is_found(client: AsyncClient, superuser: psycopg.Connection) -> None:
    name = f"later_{uuid.uuid4().hex}"
    assert (await error_of(client.table(name).select("*"))).code == "PGRST205"
    superuser.execute(f"create table public.{name} (id int); grant select on public.{name} to authenticated")
    async with asyncio.timeout(5):
        while (rows := await rows_or_nothing(client, name)) is None:
            pass
    assert rows == []


async def rows_or_nothing(client: AsyncClient, table: str) -> Any:
    """None while the hub does not know the table: it looks again at most a few times a second."""
    try:
        return await data(client.table(table).select("*"))
    except APIError:
        return None


STATUSES = [
    ("GET", "/rest/v1/missing", None, 404, "PGRST205"),
    ("POST", "/rest/v1/rpc/missing", {}, 404, "PGRST202"),
    ("POST", "/rest/v1/rpc/add", {"c": 1}, 404, "PGRST202"),
    ("GET", "/rest/v1/notes?nope=eq.1", None, 400, "42703"),
    ("GET", "/rest/v1/notes?select=nope", None, 400, "42703"),
    ("GET", "/rest/v1/notes?title=almost.1", None, 400, "PGRST100"),
    ("GET", "/rest/v1/notes?rank=eq.word", None, 400, "22P02"),
    ("GET", "/rest/v1/notes?title=eq.a%00b", None, 400, "22021"),
    ("GET", "/rest/v1/notes?limit=-1", None, 400, "PGRST100"),
    ("GET", "/rest/v1/notes?select=id,owner(*)", None, 400, "PGRST100"),
    ("GET", "/rest/v1/notes?%25s=eq.1", None, 400, "42703"),
    ("GET", "/rest/v1/notes?select=a%25sb:title", None, 400, "42703"),
    ("POST", "/rest/v1/notes", {"nope": 1}, 400, "PGRST204"),
    ("POST", "/rest/v1/notes", "text", 400, "PGRST102"),
    ("POST", "/rest/v1/notes", {"title": "forbidden"}, 400, "23514"),
    ("POST", "/rest/v1/notes", {"title": None}, 400, "23502"),
    ("POST", "/rest/v1/notes", [{"title": "a"}, {"rank": 1}], 400, "PGRST102"),
    ("POST", "/rest/v1/notes", {"title": "a", "owner": str(uuid.uuid4())}, 403, "42501"),
    ("POST", "/rest/v1/numbers", {"n": 0}, 403, "42501"),
    ("DELETE", "/rest/v1/notes?limit=1", None, 400, "PGRST100"),
    ("GET", "/rest/v1/semo_migrations", None, 403, "42501"),
    ("POST", "/rest/v1/rpc/hidden", {}, 403, "42501"),
    ("POST", "/rest/v1/rpc/teapot", {}, 418, "PT418"),
    ("GET", "/rest/v1/rpc/write_anyway", None, 405, "25006"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), STATUSES)
async def test_a_mistake_has_postgrests_status_and_code(
    hub: RunningHub, http: httpx.AsyncClient, method: str, path: str, body: object, status: int, code: str
) -> None:
    token = hub.token_for(str(uuid.uuid4()))
    headers = {"apikey": hub.keys.publishable_key, "Authorization": f"Bearer {token}"}
    answer = await http.request(method, path, json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message", "details", "hint"}


async def test_a_statement_ends_at_the_timeout_of_its_role(hub: RunningHub, http: httpx.AsyncClient) -> None:
    headers = {"apikey": hub.keys.publishable_key}
    answer = await http.post("/rest/v1/rpc/sleeps", json={"seconds": 30}, headers=headers, timeout=10)
    assert answer.json()["code"] == "57014"
