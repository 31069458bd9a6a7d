"""A service as the supervisor knows it: takes its lock, writes its record, ends on SIGTERM.

`service.py NAME --state-dir DIR [BEHAVIOUR]`: `fails` at once with a sentence, `silent` never serves, `deaf` ignores
SIGTERM.
"""

import fcntl
import json
import os
import signal
import sys
from pathlib import Path


def main(name: str, state_dir: Path, behaviour: str) -> None:
    # Before anything can arrive, so that no signal falls between two lines.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
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
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
