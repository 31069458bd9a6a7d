import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from semo_office.errors import ConfigurationError
from semo_office.locations import StateFolder, config_folder, read_json, write_json


class Note(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEMO_STATE_DIR", "SEMO_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_of_the_command_line_goes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMO_STATE_DIR", "/from/environment")
    assert StateFolder.find(Path("/from/line")).path == Path("/from/line")
    assert StateFolder.find().path == Path("/from/environment")


def test_without_either_it_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert StateFolder.find().path.is_relative_to("/home/someone")
    assert StateFolder.find().path.name == "semo"


def test_a_folder_is_the_same_wherever_it_is_looked_at_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert StateFolder.find(Path("here")).path == tmp_path / "here"


def test_configuration_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEMO_CONFIG_DIR", str(tmp_path))
    assert config_folder() == tmp_path


def test_every_folder_is_its_users_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    state = StateFolder(tmp_path / "state").prepare()
    folders = [state.path, state.hub, state.run, state.credentials, state.agent, state.logs]
    assert {mode(folder) for folder in folders} == {0o700}


def test_preparing_again_keeps_what_is_there(tmp_path: Path) -> None:
    state = StateFolder(tmp_path).prepare()
    write_json(state.process_record("hub"), Note(text="stays"))
    assert read_json(state.prepare().process_record("hub"), Note).text == "stays"


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_in_the_way_is_one_clear_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--state-dir") as caught:
        StateFolder(tmp_path / path).prepare()
    assert str(tmp_path / path) in str(caught.value)


def test_a_folder_that_can_not_be_made_is_one_clear_sentence() -> None:
    # /proc refuses even root, whom permissions do not stop.
    with pytest.raises(ConfigurationError, match=r"/proc/semo can't be .*--state-dir"):
        StateFolder(Path("/proc/semo")).prepare()


def test_a_folder_that_takes_no_files_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("semo_office.locations.tempfile.TemporaryFile", full)
    with pytest.raises(ConfigurationError, match=r"can't be written.*--state-dir"):
        StateFolder(tmp_path).prepare()


def test_a_file_is_written_for_its_user_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "note.json", Note(text="old"))
    write_json(tmp_path / "note.json", Note(text="new"))
    assert read_json(tmp_path / "note.json", Note).text == "new"
    assert mode(tmp_path / "note.json") == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "note.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_json(tmp_path / "note.json", Note(text="old"))
    monkeypatch.setattr("semo_office.locations.os.fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_json(tmp_path / "note.json", Note(text="new"))
    assert read_json(tmp_path / "note.json", Note).text == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "note.json"]


@pytest.mark.parametrize("content", ["", "{", '{"text": 7}', "[]", "\xff"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "note.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match="Delete it") as caught:
        read_json(path, Note)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text(encoding="latin-1") == content


def test_a_file_that_is_missing_says_who_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="semo up"):
        read_json(tmp_path / "note.json", Note)


def test_asking_for_the_folder_loads_nothing_heavy() -> None:
    code = (
        "import sys; from semo_office.locations import StateFolder; StateFolder.find();"
        "print(sorted({'pydantic', 'supabase', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
