"""The whole check: `python -m tests.run`; with `--static` only what needs no running process."""

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


class Counts(NamedTuple):
    """What pytest saw, from its own JUnit report."""

    collected: int
    passed: int
    failed: int
    skipped: int


def run_step(name: str, *argv: str) -> bool:
    """Run one check and tell whether it passed; its output goes straight through."""
    began = time.monotonic()
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    code = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, check=False).returncode
    sys.stdout.write(f"== {name}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s\n\n")
    return code == 0


def read_counts(report: Path) -> Counts:
    """Counts of one run; a report that is missing counts as one failure."""
    if not report.exists():
        return Counts(0, 0, 1, 0)
    suites = ElementTree.parse(report).getroot().findall("testsuite")
    total = sum(int(suite.get("tests", 0)) for suite in suites)
    failed = sum(int(suite.get("failures", 0)) + int(suite.get("errors", 0)) for suite in suites)
    skipped = sum(int(suite.get("skipped", 0)) for suite in suites)
    return Counts(total, total - failed - skipped, failed, skipped)


def check_statically() -> list[bool]:
    return [
        run_step("ruff check", "ruff", "check", "."),
        run_step("ruff format", "ruff", "format", "--check", "."),
        run_step("mypy --strict", "mypy"),
        run_step("import-linter", "lint-imports", "--no-cache"),
    ]


def run_tests(arguments: list[str]) -> bool:
    """Run pytest; a skipped test fails the run, because a part that is missing must not look like one that works."""
    report = ROOT / ".pytest_cache" / "report.xml"
    report.unlink(missing_ok=True)
    passed = run_step("pytest", "pytest", "-n", "5", "--dist", "loadfile", f"--junitxml={report}", *arguments)
    counts = read_counts(report)
    sys.stdout.write(f"collected {counts.collected}\n")
    sys.stdout.write(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped\n")
    return passed and counts.skipped == 0 and counts.collected > 0


def main(arguments: list[str]) -> int:
    static_only = "--static" in arguments
    results = check_statically()
    if not static_only:
        results.append(run_tests([a for a in arguments if a != "--static"]))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
