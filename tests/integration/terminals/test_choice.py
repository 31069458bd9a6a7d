"""Which terminal an agent takes."""

from pathlib import Path

import pytest

from semo_agent.errors import ConfigurationError
from semo_agent.terminals.choice import TerminalChoice, choose_terminal
from tests.integration.terminals.kit import PtyKit


async def test_without_sessions_it_is_tmux_where_tmux_is(folder: Path) -> None:
    assert (await choose_terminal(folder, TerminalChoice.AUTO)).name == "tmux"


async def test_without_tmux_it_is_the_ptys(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await choose_terminal(folder, TerminalChoice.AUTO)).name == "pty"
    with pytest.raises(ConfigurationError, match=r"There is no tmux on this machine\. Install it"):
        await choose_terminal(folder, TerminalChoice.TMUX)


async def test_where_sessions_live_is_chosen_and_they_are_not_left_behind(folder: Path) -> None:
    kit = PtyKit(folder)
    agent = await kit.start()
    await agent.open("sleep", "60", tag="one")
    await agent.stop()
    assert (await choose_terminal(folder, TerminalChoice.AUTO)).name == "pty"
    with pytest.raises(ConfigurationError, match=r"1 session lives in pty; choose --terminal pty"):
        await choose_terminal(folder, TerminalChoice.TMUX)
    await kit.tidy()
