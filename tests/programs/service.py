"""A service as the supervisor knows it: takes its lock, writes its record, ends on SIGTERM and with its supervisor.

`service.py NAME --state-dir DIR [--lifeline FD] [BEHAVIOUR]`: `fails` at once with a sentence, `silent` never serves,
`deaf` ignores SIGTERM, `superseded` ends with that status when it is told to by SIGHUP.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
from pathlib import Path

from semo_console.supervisor.lifeline import OPTION, hold_lifeline
from semo_console.supervisor.service import SUPERSEDED_STATUS


def main(name: str, state_dir: Path, lifeline: int | None, behaviour: str) -> None:
    # Before anything can arrive, so that no signal falls between two lines.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    hold_lifeline(lifeline)
    if behaviour == "fails":
        sys.exit('{"event": "something"}\nsemo: port 1 is in use: choose another with --port.')
    lock = (state_dir / name / "lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if behaviour != "silent":
        draft = state_dir / "run" / f".{name}"
        draft.write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1", "env": dict(os.environ)}))
        draft.rename(state_dir / "run" / f"{name}.json")
    if behaviour == "deaf":
        signal.sigwait({signal.SIGHUP})
    if behaviour == "superseded":
        signal.sigwait({signal.SIGHUP})
        sys.stderr.write("semo: Another one is at work.\n")
        sys.exit(SUPERSEDED_STATUS)
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--state-dir", type=Path)
    parser.add_argument(OPTION, type=int)
    parser.add_argument("behaviour", nargs="?", default="")
    options = parser.parse_intermixed_args()
    main(options.name, options.state_dir, options.lifeline, options.behaviour)
