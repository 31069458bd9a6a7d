"""The console with keys pressed: first what it does and knows, then the picture."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from semo_console.commands.keymap import build_keymap
from semo_console.state import news
from semo_console.state.cards import HelpCard, WhyCard
from semo_console.state.console import Mode, Region
from semo_console.state.effects import Refresh, SendAnswer, SendPrompt, StopTurn, Unsend
from semo_office.models import SessionStatus
from tests.snapshot.picture import check_picture, looks_as_kept
from tests.snapshot.scene import Rows, Scene, session
from tests.snapshot.shop import SESSIONS, shop

LOOKS = 20
Act = Callable[[Pilot[None]], Awaitable[None]]


def screen_of(scene: Scene) -> list[str]:
    strips = scene.app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


async def nothing(_: Pilot[Any]) -> None:
    pass


async def write_two_lines(pilot: Pilot[Any]) -> None:
    await pilot.press("w", "i", *"make check", "ctrl+j", *"그리고", "space", *"test")


async def four_panes(pilot: Pilot[Any]) -> None:
    await pilot.press("plus", "plus", "2")


PICTURES: dict[str, Act] = {
    "list": nothing,
    "writing": write_two_lines,
    "answering": lambda pilot: pilot.press("a", "'"),
    "panes": four_panes,
    "zoomed": lambda pilot: pilot.press("j", "z"),
    "why": lambda pilot: pilot.press("d"),
    "help": lambda pilot: pilot.press("question_mark"),
    "pool": lambda pilot: pilot.press("right_curly_bracket"),
    "breakers": lambda pilot: pilot.press("right_curly_bracket", "right_curly_bracket"),
    "jobs": lambda pilot: pilot.press("left_curly_bracket", "j", "j"),
    "palette": lambda pilot: pilot.press("colon", *"pane", "down"),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_a_wide_screen_looks_as_it_did(name: str) -> None:
    await see_picture(name, f"{name}-wide", (120, 40))


@pytest.mark.parametrize("name", ["list", "writing", "answering", "zoomed"])
async def test_a_narrow_screen_looks_as_it_did(name: str) -> None:
    await see_picture(name, f"{name}-narrow", (80, 24))


async def see_picture(act: str, kept: str, size: tuple[int, int]) -> None:
    scene = shop()
    async with scene.app.run_test(size=size) as pilot:
        await PICTURES[act](pilot)
        for _ in range(LOOKS):
            # Laying out takes as long as it takes.
            await pilot.pause()
            if looks_as_kept(kept, scene.app):
                break
        check_picture(kept, scene.app)


@pytest.mark.parametrize("size", [(20, 5), (300, 90), (59, 11), (1, 1)])
async def test_every_screen_can_be_shown_at_odd_sizes(size: tuple[int, int]) -> None:
    for act in PICTURES.values():
        scene = shop()
        async with scene.app.run_test(size=size) as pilot:
            await act(pilot)
            await pilot.pause()
            assert len(screen_of(scene)) == size[1]


async def test_a_storm_of_resizes_ends_at_the_last_size() -> None:
    scene = shop()
    async with scene.app.run_test(size=(80, 24)) as pilot:
        for number in range(24):
            await pilot.resize_terminal(20 + number * 37 % 280, 5 + number * 13 % 85)
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "NEEDS YOU 4" in "\n".join(screen_of(scene))


async def test_keys_choose_write_and_send() -> None:
    scene = Scene(session(1), session(2))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "i", *"make test", "ctrl+j", *"x y", "enter")
        (order,) = scene.wire.performed
        assert isinstance(order, SendPrompt)
        assert (order.session_id, order.text) == (session(2).session_id, "make test\nx y")
        assert (scene.state.mode, scene.state.composer.text, scene.app.screen.focused is None) == (
            Mode.WRITE,
            "",
            False,
        )
        await pilot.press(*"kept", "escape")
        assert (scene.state.mode, scene.state.composer.text) == (Mode.NAV, "kept")
        assert scene.app.screen.focused is None


async def test_letters_in_the_composer_are_text_and_nothing_else() -> None:
    scene = Scene(session(1), session(2))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i", *"jkqxXaw?:/")
        assert (scene.state.composer.text, scene.wire.performed) == ("jkqxXaw?:/", [])
        assert scene.state.roster.selected == session(1).session_id


async def test_a_question_is_answered_in_the_card() -> None:
    scene = Scene(session(1), session(2, status=SessionStatus.WAITING_INPUT))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", "'", "enter")
        (order,) = scene.wire.performed
        assert isinstance(order, SendAnswer)
        assert (order.session_id, order.text, scene.state.mode) == (session(2).session_id, "'", Mode.NAV)


async def test_a_paste_outside_of_the_composer_is_a_draft_and_runs_no_key() -> None:
    scene = Scene(session(1))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        scene.app.post_message(events.Paste("xXq\nsecond"))
        await pilot.pause()
        assert (scene.state.mode, scene.state.composer.text) == (Mode.WRITE, "xXq\nsecond")
        scene.app.post_message(events.Paste("!"))
        await pilot.pause()
        assert scene.app.screen.focused is not None
        await pilot.press("enter")
        assert [order.text for order in scene.wire.performed if isinstance(order, SendPrompt)] == ["xXq\nsecond!"]


async def test_a_title_in_brackets_is_text() -> None:
    scene = Scene(session(1, "[QA]"))
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert any("1 a [QA]" in row for row in screen_of(scene))


async def test_hangul_letters_move_and_open_the_composer() -> None:
    scene = Scene(session(1), session(2))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ㅓ")
        assert scene.state.roster.selected == session(2).session_id
        await pilot.press("ㅑ", *"한글")
        assert scene.state.composer.text == "한글"


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c", "ctrl+z", "ctrl+s", "ctrl+a", "ctrl+w", "enter", "Z", "alt+x"])
async def test_no_other_key_leaves_or_does_anything(key: str) -> None:
    scene = Scene(session(1))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert scene.app.is_running
        assert (scene.state.mode, scene.wire.performed) == (Mode.NAV, [])


async def test_control_c_says_how_to_leave_and_q_leaves() -> None:
    scene = Scene(session(1))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+c")
        assert "Press q to leave" in screen_of(scene)[-2]
        await pilot.press("q")
        await pilot.pause()
        assert not scene.app.is_running


async def test_each_key_of_the_list_does_what_it_says() -> None:
    scene = Scene(session(1, status=SessionStatus.EXECUTING), session(2))
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("x")
        await pilot.press("ctrl+r")
        assert [type(effect) for effect in scene.wire.performed] == [StopTurn, Refresh]
        await pilot.press("d")
        why = scene.state.card
        await pilot.press("escape", "question_mark")
        assert (why, scene.state.card) == (WhyCard(session(1).session_id), HelpCard())
        await pilot.press("escape", "plus", "tab")
        assert (scene.state.region, len(scene.state.panes.panes)) == (Region.PANES, 2)
        await pilot.press("0", "g", "b")
        assert scene.state.roster.selected == session(2).session_id
        assert scene.wire.watched == (session(2).session_id,)


async def test_the_palette_runs_what_was_chosen() -> None:
    scene = Scene(session(1, status=SessionStatus.EXECUTING))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", *"stop the turn", "enter")
        assert [type(effect) for effect in scene.wire.performed] == [StopTurn]
        await pilot.press("colon", *"pane", "down", "down", "up", "escape")
        assert scene.state.mode is Mode.NAV


async def test_keys_can_be_moved() -> None:
    scene = Scene(session(1), keymap=build_keymap({"write": ("o",)}))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i")
        assert not screen_of(scene)[-1].startswith(" WRITE")
        await pilot.press("o")
        assert scene.state.mode is Mode.WRITE
        await pilot.press("escape")
        assert " o write" in screen_of(scene)[-1]


async def test_text_that_was_typed_goes_to_the_session_it_was_typed_for() -> None:
    scene = Scene(session(1), session(2))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i", *"for a", "escape", "j", "i", *"for b", "escape")
        drafts = {str(key): text for key, text in scene.state.composer.drafts.items()}
        assert drafts == {str(session(1).session_id): "for a", str(session(2).session_id): "for b"}


async def test_output_follows_and_scrolls() -> None:
    rows = Rows(*(f"row {number}" for number in range(200)))
    scene = Scene(session(1), outputs={session(1).session_id: rows})
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert any("row 199" in row for row in screen_of(scene))
        await pilot.press("ctrl+u", "K")
        rows.append("row 200")
        scene.app.tell_output(session(1).session_id, 200)
        await pilot.pause()
        shown = "\n".join(screen_of(scene))
        assert "row 199" not in shown
        assert "row 182" in shown
        await pilot.press("G")
        await pilot.pause()
        assert any("row 200" in row for row in screen_of(scene))


async def test_every_row_of_a_screen_with_wide_characters_has_the_same_width() -> None:
    rows = Rows(*("한글" * number + "x" for number in range(60)))
    scene = Scene(session(1, "역할이름이깁니다"), outputs={session(1).session_id: rows})
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("i", *"안녕")
        await pilot.pause()
        from rich.cells import cell_len

        assert {cell_len(row) for row in screen_of(scene)} == {120}


async def test_unsend_asks_for_the_newest_that_waits() -> None:
    scene = shop()
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("U")
        assert [type(effect) for effect in scene.wire.performed] == [Unsend]


async def test_news_while_a_card_is_open_leave_what_was_typed() -> None:
    scene = Scene(session(1, status=SessionStatus.WAITING_INPUT))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", *"yes")
        scene.tell(partial(news.see_session, session=session(2)))
        await pilot.pause()
        assert (scene.app.screen.focused is not None, scene.state.card_text) == (True, "yes")
        await pilot.press("!", "enter")
        assert [order.text for order in scene.wire.performed if isinstance(order, SendAnswer)] == ["yes!"]


async def test_before_the_office_is_connected_nothing_is_lost() -> None:
    scene = Scene(session(1), wired=False)
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i", *"make", "enter")
        assert scene.state.composer.text == "make"
        assert "not connected yet" in screen_of(scene)[-2]


async def test_a_draft_is_written_down_within_a_second_and_only_when_something_changed() -> None:
    scene = Scene(session(1))
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("i", *"half a thought")
        async with asyncio.timeout(20):
            while not scene.kept or list(scene.kept[-1].drafts.values()) != ["half a thought"]:
                await pilot.pause(0.05)
        count = len(scene.kept)
        await scene.app._tick()
        assert len(scene.kept) == count


def test_the_sessions_of_the_pictures_have_every_condition() -> None:
    conditions = {entry.condition for entry in shop().state.roster.entries.values()}
    assert len(conditions) == len(SESSIONS)
