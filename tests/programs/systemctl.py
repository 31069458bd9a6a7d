"""`systemctl --user` as far as SEMO uses it, for systems without systemd: it starts what a unit says."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

UNITS = Path(os.environ["HOME"]) / ".config" / "systemd" / "user"


def words_in(text: str) -> list[str]:
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(text)]


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def start(unit: Path, pid_file: Path) -> None:
    if pid_file.exists() and is_alive(int(pid_file.read_text())):
        return
    settings = [line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line]
    found = dict(settings)
    environment = dict(
        word.split("=", 1) for key, value in settings if key == "Environment" for word in words_in(value)
    )
    with Path(found["StandardError"].removeprefix("append:")).open("ab") as log:
        process = subprocess.Popen(
            words_in(found["ExecStart"]),
            env={"HOME": os.environ["HOME"], "PYTHONPATH": os.environ["PYTHONPATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid_file.write_text(str(process.pid))


def stop(pid_file: Path) -> None:
    if pid_file.exists() and is_alive(int(pid_file.read_text())):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)


def main() -> None:
    _user, verb, *rest = sys.argv[1:]
    if verb in ("show-environment", "daemon-reload", "enable"):
        return
    unit = UNITS / rest[-1]
    pid_file = unit.with_suffix(".pid")
    if verb in ("restart", "disable"):
        stop(pid_file)
    if verb in ("restart", "start"):
        start(unit, pid_file)


main()
