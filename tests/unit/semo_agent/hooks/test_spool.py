"""The events of sessions on disk."""

import json
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from semo_agent.hooks.spool import Spool, Spools, settings_of
from semo_agent.profiles.hooks import HookEvent, HookRules, Meaning

RULES = HookRules(
    settings_argument="--settings",
    events=[
        HookEvent(name="SessionStart", means=Meaning.READY, matcher="startup|clear"),
        HookEvent(name="UserPromptSubmit", means=Meaning.ACCEPTED),
        HookEvent(name="Stop", means=Meaning.ENDED),
    ],
)


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    made = Spools(tmp_path / "with a blank" / "hooks")
    made.prepare()
    return made


@pytest.fixture
def spool(spools: Spools) -> Spool:
    return spools.of(uuid4())


def attached() -> dict[str, Any]:
    """The hooks as a CLI reads them."""
    return dict(json.loads(json.dumps(settings_of(RULES)))["hooks"])


def test_the_settings_have_the_shape_that_claude_code_reads() -> None:
    hooks = attached()
    assert list(hooks) == ["SessionStart", "UserPromptSubmit", "Stop"]
    (start,), (stop,) = hooks["SessionStart"], hooks["Stop"]
    assert (start["matcher"], "matcher" in stop) == ("startup|clear", False)
    (command,) = stop["hooks"]
    assert (command["type"], shlex.split(command["command"])[0]) == ("command", sys.executable)


def test_what_the_settings_name_writes_an_event_that_can_be_read(spool: Spool) -> None:
    environment = spool.attach(RULES)
    command = attached()["Stop"][0]["hooks"][0]["command"]
    subprocess.run(command, shell=True, input=b'{"a": 1}', env=dict(environment), check=True)
    (read,) = spool.read(after=0)
    assert read.event is not None
    assert (read.event.means, read.event.name, read.event.input) == (Meaning.ENDED, "Stop", {"a": 1})
    assert spool.read(after=read.ordinal) == []
    spool.drop(read.ordinal)
    assert spool.read(after=0) == []


def test_folder_and_settings_are_private(spools: Spools, spool: Spool) -> None:
    spool.attach(RULES)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (spools.folder, spools.bell, spool.folder, spool.settings)]
    assert modes == [0o700, 0o600, 0o700, 0o600]


def test_a_file_that_can_not_be_understood_is_passed_over(spool: Spool) -> None:
    spool.attach(RULES)
    (spool.folder / "00000000000000000005.json").write_text("{")
    (spool.folder / "00000000000000000006.new").write_text("{")
    assert [(read.ordinal, read.event) for read in spool.read(after=0)] == [(5, None)]


def test_preparing_again_keeps_the_spools_and_repairs_the_bell(spools: Spools, spool: Spool) -> None:
    spool.attach(RULES)
    spools.bell.unlink()
    spools.bell.write_text("no pipe")
    spools.prepare()
    assert spools.bell.is_fifo()
    assert spool.settings.is_file()


def test_spools_of_sessions_that_are_gone_are_removed(spools: Spools) -> None:
    kept, gone = uuid4(), uuid4()
    for session_id in (kept, gone):
        spools.of(session_id).attach(RULES)
    spools.remove_all_but([kept])
    assert sorted(path.name for path in spools.folder.iterdir()) == sorted(["bell", str(kept)])


def test_a_spool_that_is_not_there_is_empty_and_can_be_removed(spool: Spool) -> None:
    assert spool.read(after=0) == []
    spool.drop(9)
    spool.remove()
