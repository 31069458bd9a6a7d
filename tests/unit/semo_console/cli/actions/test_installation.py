import plistlib
import stat
from pathlib import Path

import pytest

from semo_console.cli import main
from semo_console.cli.actions.installation import describe_service
from semo_console.errors import ConsoleError
from semo_console.installed_agent import service_name
from semo_console.login_managers import manager_of_this_system
from semo_office.locations import StateFolder

RECORDING = """#!/bin/sh
echo "$(basename "$0") $*" >> {said}
case "$*" in *{failing}*) echo 'it will not' >&2; exit 5;; esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with managers that write down what they were told."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("SEMO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    install_managers(tmp_path)
    return tmp_path


def install_managers(home: Path, failing: str = "nothing-fails") -> None:
    for name in ("systemctl", "launchctl"):
        program = home / "bin" / name
        program.write_text(RECORDING.format(said=home / "said", failing=failing))
        program.chmod(0o700)


def said(home: Path) -> list[str]:
    return (home / "said").read_text().splitlines()


def unit_of(home: Path) -> Path:
    [unit] = (home / ".config" / "systemd" / "user").glob("*.service")
    return unit


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "semo_console.cli.actions.installation.manager_of_this_system", lambda: manager_of_this_system("linux")
    )


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "semo_console.cli.actions.installation.manager_of_this_system", lambda: manager_of_this_system("darwin")
    )


@pytest.mark.usefixtures("on_linux")
def test_installing_on_linux_writes_a_unit_and_starts_it(home: Path) -> None:
    assert main(["agent", "install", "--terminal", "tmux"]) == 0
    unit = unit_of(home)
    assert stat.S_IMODE(unit.stat().st_mode) == 0o600
    assert '"agent" "--installed" "--terminal" "tmux" "--state-dir"' in unit.read_text()
    assert said(home) == [
        "systemctl --user show-environment",
        "systemctl --user daemon-reload",
        f"systemctl --user enable {unit.name}",
        f"systemctl --user restart {unit.name}",
    ]


@pytest.mark.usefixtures("on_a_mac")
def test_installing_on_a_mac_loads_a_launch_agent_into_the_desktop_session(home: Path) -> None:
    assert main(["agent", "install"]) == 0
    [plist] = (home / "Library" / "LaunchAgents").glob("*.plist")
    told = plistlib.loads(plist.read_bytes())
    assert told["LimitLoadToSessionType"] == "Aqua"
    assert [line.split()[1] for line in said(home)] == ["print", "bootout", "enable", "bootstrap"]
    assert said(home)[-1].endswith(str(plist))


@pytest.mark.usefixtures("on_linux")
def test_uninstalling_undoes_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["agent", "install"])
    unit = unit_of(home)
    assert main(["agent", "uninstall"]) == 0
    assert not unit.exists()
    assert f"systemctl --user disable --now {unit.name}" in said(home)
    assert main(["agent", "uninstall"]) == 0
    assert capsys.readouterr().out.endswith("The agent is not installed.\n")


@pytest.mark.usefixtures("on_linux")
@pytest.mark.parametrize("failing", ["show-environment", "restart"])
def test_what_can_not_be_started_is_not_installed(home: Path, failing: str, capsys: pytest.CaptureFixture[str]) -> None:
    install_managers(home, failing)
    assert main(["agent", "install"]) == 1
    assert list((home / ".config").rglob("*.service")) == []
    assert capsys.readouterr().err.endswith("(it will not)\n")


def test_a_secret_key_is_not_written_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMO_SUPABASE_KEY", "sb_secret_1234")
    with pytest.raises(ConsoleError, match="publishable"):
        describe_service(StateFolder(home), "auto")


def test_agents_of_two_state_folders_are_two_services(home: Path) -> None:
    names = {service_name(StateFolder(home / folder)) for folder in ("one", "two")}
    assert len(names) == 2
    assert all(name.startswith("semo-agent-") for name in names)


def test_the_log_is_shown(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFolder(home / "state").prepare()
    state.log_of("agent").write_text("one\ntwo\n")
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda _program, words: ran.append(words))
    main(["agent", "logs", "-f", "-n", "1"])
    assert ran == [["tail", "-n", "1", "-F", str(state.log_of("agent"))]]


def test_without_a_log_one_sentence_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "logs"]) == 1
    assert "has written no log yet" in capsys.readouterr().err
