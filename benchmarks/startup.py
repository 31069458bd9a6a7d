"""How long a person waits: `semo --help`, the first `semo up`, and the next one."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Times, verdict
from benchmarks.office import BenchOffice

SEMO = str(Path(sys.executable).parent / "semo")
AIM_HELP_MS = 200.0
AIM_NEXT_UP_MS = 3_000.0


def measure(office: BenchOffice) -> list[str]:
    """Lines to print."""
    helps = Times("semo --help", [_time("--help") for _ in range(20)])
    up = ("up", "--headless", "--json")
    ups = Times("semo up, when everything runs", [_time(*up, office=office) for _ in range(5)])
    _run("down", office=office)
    again = Times("semo up, after semo down", [_time(*up, office=office)])
    return [
        *(times.line() for times in (helps, ups, again)),
        verdict("semo --help, p50", helps.p50, AIM_HELP_MS),
        verdict("the next semo up", max(ups.p50, again.p50), AIM_NEXT_UP_MS),
    ]


def _time(*arguments: str, office: BenchOffice | None = None) -> float:
    began = time.perf_counter()
    _run(*arguments, office=office)
    return (time.perf_counter() - began) * 1000


def _run(*arguments: str, office: BenchOffice | None = None) -> None:
    subprocess.run(
        [SEMO, *arguments],
        env=office.environment if office else None,
        cwd=office.state_dir.parent if office else None,
        check=True,
        capture_output=True,
        timeout=60,
    )
