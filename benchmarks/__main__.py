"""Prints the measured figures of SEMO on this machine."""

import asyncio
import sys

from benchmarks import console, output, send_text, startup
from benchmarks.office import bench_office


def main() -> None:
    with bench_office() as office:
        _print("output, as it is watched", asyncio.run(output.measure(office)))
    with bench_office("tmux") as office:
        _print("idle on tmux", asyncio.run(output.measure_idle(office)))
    with bench_office() as office:
        _print("send_text, one command after the other", asyncio.run(send_text.measure(office)))
        _print("start", startup.measure(office))
        _print("console", console.measure(office))


def _print(title: str, lines: list[str]) -> None:
    sys.stdout.write(title + "\n" + "\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()
