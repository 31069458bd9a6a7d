import os
import stat
from pathlib import Path

import pytest

from semo_agent.holder.place import LONGEST_SOCKET_PATH, make_private, socket_path


def test_the_socket_is_in_the_folder() -> None:
    assert socket_path(Path("/short")) == Path("/short/holder.sock")


def test_a_folder_too_deep_for_a_socket_gets_a_short_one_of_its_own() -> None:
    deep, other = Path("/", *["folder"] * 30), Path("/", *["folder"] * 31)
    assert len(os.fsencode(socket_path(deep))) <= LONGEST_SOCKET_PATH
    assert socket_path(deep) == socket_path(deep) != socket_path(other)


def test_a_folder_is_made_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_open_folder_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_link_to_somewhere_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="choose another"):
        make_private(tmp_path / "link")
