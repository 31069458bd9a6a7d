"""Query strings as the client writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semo_hub.problems import Problem
from semo_hub.query import (
    Column,
    Condition,
    Group,
    Order,
    Query,
    Selected,
    parse_column,
    parse_query,
    split_list,
)


def filters(key: str, value: str) -> tuple[Condition | Group, ...]:
    return parse_query([(key, value)]).filters


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("eq.a.b", Condition(Column("c"), "eq", "a.b")),
        ("eq.", Condition(Column("c"), "eq", "")),
        ("not.gte.5", Condition(Column("c"), "gte", "5", negated=True)),
        ("like.a*b%", Condition(Column("c"), "like", "a%b%")),
        ("eq.a*b", Condition(Column("c"), "eq", "a*b")),
        ("is.NULL", Condition(Column("c"), "is", "null")),
        ("in.(1,2)", Condition(Column("c"), "in", ("1", "2"))),
        ("in.()", Condition(Column("c"), "in", ())),
        ('in.("x,y","z\\"q",1)', Condition(Column("c"), "in", ("x,y", 'z"q', "1"))),
        ("cs.{a,b}", Condition(Column("c"), "cs", "{a,b}")),
    ],
)
def test_a_filter_is_a_column_an_operator_and_a_value(value: str, expected: Condition) -> None:
    assert filters("c", value) == (expected,)


@pytest.mark.parametrize("value", ["", "eq", "5", "nope.5", "is.5", "not.5", "in.5", "fts.word"])
def test_a_filter_without_an_operator_is_refused(value: str) -> None:
    with pytest.raises(Problem, match="PGRST100"):
        filters("c", value)


def test_conditions_nest_in_parentheses() -> None:
    nested = Group("and", (Condition(Column("b"), "lt", "2"), Condition(Column("c"), "in", ("x", "y"), negated=True)))
    expected = Group("or", (Condition(Column("a"), "eq", "1,5"), nested))
    assert filters("or", '(a.eq."1,5",and(b.lt.2,c.not.in.(x,y)))') == (expected,)


def test_a_logic_tree_without_end_is_refused() -> None:
    with pytest.raises(Problem, match="PGRST100"):
        filters("or", "(and" * 20_000 + ")" * 20_000)


def test_the_same_column_may_be_filtered_twice() -> None:
    query = parse_query([("n", "gte.1"), ("n", "lt.5")])
    assert [item.operator for item in query.filters if isinstance(item, Condition)] == ["gte", "lt"]


def test_select_knows_names_aliases_and_json_paths() -> None:
    query = parse_query([("select", '*,id,other:"two words",data->a->>b')])
    assert query.select == (
        Selected(Column("*")),
        Selected(Column("id")),
        Selected(Column("two words"), "other"),
        Selected(Column("data", (("->", "a"), ("->>", "b"))), "b"),
    )


@pytest.mark.parametrize("select", ["id,owner(*)", "id::text"])
def test_what_select_cannot_do_here_is_said(select: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_query([("select", select)])
    assert "not built yet" in (caught.value.details or "")


def test_order_knows_direction_and_nulls() -> None:
    query = parse_query([("order", "a.desc.nullslast,b,c.nullsfirst")])
    assert query.order == (
        Order(Column("a"), descending=True, nulls_first=False),
        Order(Column("b")),
        Order(Column("c"), nulls_first=True),
    )


def test_limits_are_whole_numbers_and_capped() -> None:
    assert (parse_query([("limit", "5"), ("offset", "7")]).row_limit, Query(limit=5000).row_limit) == (
        5,
        1000,
    )
    with pytest.raises(Problem, match="PGRST100"):
        parse_query([("limit", "five")])


def test_column_lists_lose_their_quotes() -> None:
    query = parse_query([("columns", '"a","b c"'), ("on_conflict", "x,y")])
    assert (query.columns, query.on_conflict) == (("a", "b c"), ("x", "y"))


@given(st.lists(st.text(alphabet=st.characters(exclude_characters='",(){}\\'), min_size=1)))
def test_plain_items_survive_a_list(items: list[str]) -> None:
    assert split_list(",".join(items)) == items


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for pair in (
        ("select", text),
        ("order", text),
        ("c", text),
        ("or", text),
        (text, "eq.1"),
        ("c", f"in.({text})"),
    ):
        try:
            parse_query([pair])
        except Problem as problem:
            assert problem.status == 400


def test_a_column_needs_a_name() -> None:
    with pytest.raises(Problem):
        parse_column("->a")
