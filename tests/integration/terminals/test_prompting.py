"""What prompts rest on, on a real terminal with a real program and on the counting terminal of the soak alike."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from semo_agent.composer import find_composer
from semo_agent.errors import TabNotFound
from semo_agent.terminals.base import Key, TabInfo, Terminal
from tests.integration.terminals.kit import PtyKit, Watched
from tests.soak.terminal import CountingTerminal, read_tab

TEXT = "한글 🎉 work=0.05"


class Case(Protocol):
    async def start(self) -> Watched:
        """Another agent on the same tabs."""

    async def program(self, agent: Watched, tag: str) -> TabInfo:
        """A program at its first prompt."""

    def submitted(self) -> list[int]:
        """How many bytes each prompt had that arrived, in order."""

    async def tidy(self) -> None: ...


class PtyCase(PtyKit):
    async def program(self, agent: Watched, tag: str) -> TabInfo:
        return await agent.receiver(self.folder / "record", "--work", "0.05", tag=tag)

    def submitted(self) -> list[int]:
        entries = map(json.loads, (self.folder / "record").read_text().splitlines())
        return [entry["bytes"] for entry in entries if "prompt" in entry]


class CountingCase:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Watched] = []

    async def start(self) -> Watched:
        terminal: Terminal = CountingTerminal(self._folder)
        await terminal.start()
        self._made.append(Watched(terminal))
        return self._made[-1]

    async def program(self, agent: Watched, tag: str) -> TabInfo:
        tab = await agent.open("counting", tag=tag)
        await agent.mark(tab, "B")
        return tab

    def submitted(self) -> list[int]:
        [path] = self._folder.glob("*.jsonl")
        return [len(each.text.encode()) for each in read_tab(path).program.submitted]

    async def tidy(self) -> None:
        for watched in self._made:
            if not watched.gone:
                await watched.stop()


@pytest.fixture(params=["pty", "counting"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    folder = Path(tempfile.mkdtemp(prefix="semo-"))
    kinds: dict[str, type[PtyCase] | type[CountingCase]] = {"pty": PtyCase, "counting": CountingCase}
    made = kinds[request.param](folder)
    yield made
    await made.tidy()
    shutil.rmtree(folder)


async def send(agent: Watched, tab: TabInfo) -> None:
    await agent.terminal.paste(tab.tab_id, TEXT)
    await agent.terminal.press(tab.tab_id, Key.ENTER)


async def test_a_prompt_arrives_once_and_its_turn_is_marked_from_beginning_to_end(case: Case) -> None:
    agent = await case.start()
    tab = await case.program(agent, "one")
    await send(agent, tab)
    begins, ends = await agent.mark(tab, "C"), await agent.mark(tab, "D")
    ready = await agent.mark(tab, "B", 2)
    assert begins.ordinal < ends.ordinal < ready.ordinal
    assert begins.at <= ends.at <= ready.at
    assert case.submitted() == [len(TEXT.encode())]


async def test_the_composer_is_empty_at_a_prompt_and_only_there(case: Case) -> None:
    agent = await case.start()
    tab = await case.program(agent, "one")
    composer = find_composer(await agent.terminal.marks(tab.tab_id), None)
    assert composer is not None
    assert composer.is_empty(await agent.terminal.screen(tab.tab_id))
    assert (await agent.terminal.screen(tab.tab_id)).bracketed_paste


async def test_the_next_agent_sees_the_same_marks_and_those_that_came_meanwhile(case: Case) -> None:
    first = await case.start()
    tab = await case.program(first, "one")
    await send(first, tab)
    await first.mark(tab, "C")
    before = await first.terminal.marks(tab.tab_id)
    await first.stop()
    second = await case.start()
    [adopted] = await second.terminal.list()
    assert (adopted.tab_id, adopted.tag) == (tab.tab_id, "one")

    async def turn_is_over() -> bool:
        return [mark.kind for mark in await second.terminal.marks(tab.tab_id)].count("B") == 2

    await second.until(turn_is_over)
    marks = await second.terminal.marks(tab.tab_id)
    assert [(mark.kind, mark.ordinal) for mark in marks][: len(before)] == [
        (mark.kind, mark.ordinal) for mark in before
    ]
    assert [mark.ordinal for mark in marks] == list(range(1, len(marks) + 1))


async def test_ctrl_c_outside_a_paste_brings_a_new_prompt(case: Case) -> None:
    agent = await case.start()
    tab = await case.program(agent, "one")
    await agent.terminal.write(tab.tab_id, b"\x1b[200~half")
    await agent.terminal.write(tab.tab_id, b"\x1b[201~")
    await agent.terminal.press(tab.tab_id, Key.CTRL_C)
    await agent.mark(tab, "B", 2)
    await send(agent, tab)
    await agent.mark(tab, "D")
    assert case.submitted() == [len(TEXT.encode())]


async def test_a_closed_tab_has_exited_and_is_unknown(case: Case) -> None:
    agent = await case.start()
    tab = await case.program(agent, "one")
    await agent.terminal.close(tab.tab_id, grace=0.2)
    await agent.exited(tab)
    assert list(await agent.terminal.list()) == []
    with pytest.raises(TabNotFound):
        await agent.terminal.write(tab.tab_id, b"x")
