"""What tmux runs in a new window: becomes the program that a file names, with exactly its environment.

`python -S -m semo_agent.terminals.tmux.launch FILE`. The file is JSON, 0600, and is removed at once: neither
words nor environment of a program are seen in the words or environment of tmux. The process imports the
standard library only, to start quickly.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from semo_agent.holder.spawn import expect_utf8, replace_process, set_size

STARTED: Final = b"+"
"""The first byte of the report: end of file means nothing before it."""


def main(file: Path) -> NoReturn:
    wanted = json.loads(file.read_bytes())
    file.unlink()
    report = _open_report(wanted["report"])
    os.write(report, STARTED)
    # tmux gives a window its size only after this process was started.
    set_size(0, *wanted["size"])
    expect_utf8(0)
    env = {"COLORTERM": "truecolor", **wanted["env"], "TERM": os.environ["TERM"]}
    replace_process(wanted["argv"], wanted["cwd"], env, report)


def _open_report(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        # Nobody waits for it: the agent has gone, and the next one takes the program as it is.
        return os.open(os.devnull, os.O_WRONLY)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
