import os
import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from semo_console.login_service import LoginService

AWKWARD = LoginService(
    name="semo-agent",
    command=("/bin/true", "--state-dir", '/home/a user/50% "$HOME" 한글 \\x'),
    environment={"PATH": "/opt/homebrew/bin:/usr/bin", "LANG": "ko_KR.UTF-8"},
    log=Path("/home/a user/logs 50%/agent.log"),
)


def test_a_launch_agent_runs_in_the_desktop_session_and_again_when_it_fails() -> None:
    told = plistlib.loads(AWKWARD.to_plist())
    assert told["Label"] == "semo-agent"
    assert tuple(told["ProgramArguments"]) == AWKWARD.command
    assert told["EnvironmentVariables"] == AWKWARD.environment
    assert (told["RunAtLoad"], told["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert told["LimitLoadToSessionType"] == "Aqua"
    assert told["StandardErrorPath"] == str(AWKWARD.log)
    assert (told["Umask"], told["AbandonProcessGroup"]) == (0o077, True)


def test_a_unit_stops_the_agent_only_and_starts_it_again_when_it_fails() -> None:
    lines = AWKWARD.to_unit().splitlines()
    assert 'ExecStart="/bin/true" "--state-dir" "/home/a user/50%% \\"$$HOME\\" 한글 \\\\x"' in lines
    assert {"Restart=on-failure", "KillMode=process", "UMask=0077", "WantedBy=default.target"} <= set(lines)
    assert 'Environment="LANG=ko_KR.UTF-8"' in lines
    assert "StandardError=append:/home/a user/logs 50%%/agent.log" in lines


@pytest.mark.parametrize(
    ("checker", "file", "text"),
    [
        (("systemd-analyze", "verify", "--user", "--man=no"), "semo-agent.service", AWKWARD.to_unit().encode()),
        (("plutil", "-lint"), "semo-agent.plist", AWKWARD.to_plist()),
    ],
)
def test_the_checker_of_the_system_finds_nothing_to_complain_of(
    checker: tuple[str, ...], file: str, text: bytes, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(text)
    # Each system has its own; the other one's file is only written there.
    if shutil.which(checker[0]) is not None:
        ran = subprocess.run(
            [*checker, str(tmp_path / file)],
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
