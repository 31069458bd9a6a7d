"""Places where a test can stop this process for good or for a while. Off unless `SEMO_FAILPOINTS` names a folder."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

VARIABLE: Final = "SEMO_FAILPOINTS"

Failpoint = Literal[
    "after_claim", "after_journal", "mid_paste", "after_paste", "after_enter", "during_turn", "after_turn"
]

_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Failpoints:
    """`FOLDER/NAME` with the word `kill` or `stop` arms a point for one time; then it is called `NAME.reached`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @classmethod
    def named_by(cls, environment: Mapping[str, str]) -> "Failpoints":
        folder = environment.get(VARIABLE)
        return cls(Path(folder) if folder else None)

    def is_armed(self, name: Failpoint) -> bool:
        return self._folder is not None and (self._folder / name).exists()

    def reach(self, name: Failpoint) -> None:
        """Stop this process here if a test wants it to."""
        if self._folder is None or not self.is_armed(name):
            return
        reached = (self._folder / name).rename(self._folder / f"{name}.reached")
        os.kill(os.getpid(), _SIGNALS[reached.read_text().strip()])
