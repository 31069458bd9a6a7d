from pathlib import Path

import pytest

from semo_console.cli.actions.targets import choose_office, choose_session
from semo_console.errors import UnclearTarget
from semo_office.errors import CommandError, ErrorCode
from semo_office.models import SessionStatus
from tests.unit.semo_console.cli.actions.rows import office, session

SHOP = office("shop", "/repos/shop")
API = office("api", "/repos/shop/services/api")


def test_the_office_of_the_nearest_parent_is_meant() -> None:
    assert choose_office([SHOP, API], Path("/repos/shop/services/api/src"), None) == API
    assert choose_office([SHOP, API], Path("/repos/shop/services"), None) == SHOP


def test_a_named_office_goes_before_the_folder() -> None:
    assert choose_office([SHOP, API], Path("/repos/shop"), "api") == API
    assert choose_office([SHOP, API], Path("/elsewhere"), str(SHOP.id)) == SHOP


def test_a_folder_without_office_says_what_exists() -> None:
    with pytest.raises(UnclearTarget, match=r"belongs to no office.*There are: shop, api\.$"):
        choose_office([SHOP, API], Path("/elsewhere"), None)


def test_two_offices_of_one_name_are_told_apart_by_id() -> None:
    other = office("shop", "/repos/other")
    with pytest.raises(UnclearTarget, match=f"{SHOP.id}.*{other.id}"):
        choose_office([SHOP, other], Path("/repos/shop"), "shop")


def test_an_unknown_office_says_what_exists() -> None:
    with pytest.raises(UnclearTarget, match=r"There is no office 'shp'\. There are: shop\."):
        choose_office([SHOP], Path("/repos/shop"), "shp")


def test_the_only_live_session_needs_no_name() -> None:
    ended = session("aa", status=SessionStatus.TERMINATED)
    assert choose_session([ended, session("bb")]) == session("bb")


def test_of_several_sessions_one_has_to_be_named() -> None:
    with pytest.raises(UnclearTarget, match=r"aa000000 \(shell, idle\), bb000000 \(FE, asks\)"):
        choose_session([session("aa"), session("bb", role="FE", status=SessionStatus.WAITING_INPUT)])


def test_an_answer_goes_to_the_session_that_asks() -> None:
    asks = session("bb", status=SessionStatus.WAITING_INPUT)
    assert choose_session([session("aa"), asks], asking=True) == asks


def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one() -> None:
    assert choose_session([session("ab"), session("ac")], chosen="AB") == session("ab")
    assert choose_session([session("ab")], chosen=str(session("ab").session_id)) == session("ab")


def test_an_ambiguous_beginning_lists_what_it_could_be() -> None:
    with pytest.raises(UnclearTarget, match=r"ab000000.*ac000000"):
        choose_session([session("ab"), session("ac")], chosen="a")


@pytest.mark.parametrize("chosen", ["zz", "", "%"])
def test_an_unknown_session_lists_what_exists(chosen: str) -> None:
    with pytest.raises(CommandError, match=r"There are: ab000000 \(shell, idle\)\.") as caught:
        choose_session([session("ab")], chosen=chosen)
    assert caught.value.code is ErrorCode.SESSION_NOT_FOUND


def test_a_ready_session_of_the_role_goes_first() -> None:
    busy = session("aa", role="BE", status=SessionStatus.EXECUTING, active_at=1)
    ready = session("bb", role="BE", active_at=9)
    assert choose_session([busy, ready], role="BE") == ready


def test_without_a_ready_one_the_least_recently_active_of_the_role_is_meant() -> None:
    late = session("aa", role="BE", status=SessionStatus.EXECUTING, active_at=9)
    early = session("bb", role="BE", status=SessionStatus.EXECUTING, active_at=1)
    assert choose_session([late, early, session("cc")], role="BE") == early


def test_an_unknown_role_lists_the_roles_that_exist() -> None:
    sessions = [session("aa", role="FE"), session("bb"), session("cc", role="QA", status=SessionStatus.TERMINATED)]
    with pytest.raises(CommandError, match=r"No session has the role 'BE'\. There are: FE, shell\."):
        choose_session(sessions, role="BE")


def test_an_office_without_sessions_says_how_to_start_one() -> None:
    with pytest.raises(CommandError, match="semo new"):
        choose_session([])
