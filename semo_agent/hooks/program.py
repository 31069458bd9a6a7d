"""What a CLI runs at each event of its life: puts the event into the spool of its session and rings the agent.

`python -I -S program.py MEANING NAME`, the event's JSON on standard input, the spool's folder in `SEMO_HOOKS`. It takes
at most a second, prints nothing and always exits with 0: a CLI must never suffer from being watched. Standard library
only, and of that as little as it can, to start quickly.
"""

import json
import os
import select
import signal
import sys
import time

FOLDER_VARIABLE = "SEMO_HOOKS"
LONGEST_S = 1.0
READING_S = 0.5
INPUT_BYTES_MAX = 4 * 1024 * 1024
TEXT_MAX = 48 * 1024
"""Characters of one text; of a longer one the end is kept."""
EVENT_BYTES_MAX = 256 * 1024
ANCESTORS_MAX = 32
INTERPRETERS = ("python", "node", "bun", "deno", "ruby", "perl", "sh", "bash", "dash", "zsh", "env")


def main(arguments: list[str]) -> None:
    means, name = arguments
    spool(os.environ[FOLDER_VARIABLE], means, name, ancestors(os.getppid()), read_input(0))


def spool(folder: str, means: str, name: str, above: list[list[object]], fields: dict[str, object]) -> None:
    """Write one event as a whole, named by its place in the order, then ring.

    The lock makes the order of names the order in which they appear: whoever has read a name has all before it.
    """
    import fcntl

    content = packed({"means": means, "name": name, "ancestors": above, "input": fields})
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path = f"{folder}/{time.monotonic_ns():020d}"
    with open(f"{path}.new", "wb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", f"{path}.json")  # noqa: PTH104
    os.close(lock)
    ring(f"{folder}/../bell")


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def ring(bell: str) -> None:
    """Wake the agent; where none listens, the next one finds the event."""
    try:
        handle = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(handle, b".")
    except OSError:
        # Nobody has read the rings before this one; they will do.
        return


def packed(event: dict[str, object]) -> bytes:
    """The event as JSON of a bounded size: with what is nested in its input left out where that is too much."""
    content = encoded(event)
    if len(content) <= EVENT_BYTES_MAX:
        return content
    fields = event["input"]
    flat = {key: value for key, value in fields.items() if isinstance(value, str)} if isinstance(fields, dict) else {}
    content = encoded({**event, "input": flat})
    return content if len(content) <= EVENT_BYTES_MAX else encoded({**event, "input": {}})


def encoded(event: dict[str, object]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")


def read_input(handle: int) -> dict[str, object]:
    """The fields of the event; none where the input is not an object of JSON, or does not end in time."""
    data, deadline = b"", time.monotonic() + READING_S
    while len(data) <= INPUT_BYTES_MAX:
        ready, _, _ = select.select([handle], [], [], max(deadline - time.monotonic(), 0))
        chunk = os.read(handle, 65536) if ready else b""
        if not chunk:
            break
        data += chunk
    try:
        fields = json.loads(data)
    except ValueError:
        return {}
    return {key: shortened(value) for key, value in fields.items()} if isinstance(fields, dict) else {}


def shortened(value: object) -> object:
    if isinstance(value, str):
        return value[-TEXT_MAX:]
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    return value


def ancestors(pid: int) -> list[list[object]]:
    """The processes above, nearest first: pid and what program it is. The words of a program are not kept: a prompt
    may be among them."""
    found: list[list[object]] = []
    while pid > 1 and len(found) < ANCESTORS_MAX:
        parent, words = process(pid)
        found.append([pid, program_name(words)])
        pid = parent
    return found


def process(pid: int) -> tuple[int, list[str]]:
    """Parent and command line."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat, open(f"/proc/{pid}/cmdline", "rb") as cmdline:  # noqa: PTH123
            parent = int(stat.read().rpartition(b")")[2].split()[1])
            return parent, os.fsdecode(cmdline.read()).split("\0")[:-1]
    except OSError:
        return process_by_ps(pid)


def process_by_ps(pid: int) -> tuple[int, list[str]]:
    """Where there is no /proc."""
    if os.path.isdir("/proc/self"):  # noqa: PTH112
        return 0, []
    import subprocess

    asked = subprocess.run(
        ["/bin/ps", "-o", "ppid=,args=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=LONGEST_S
    )
    parent, *words = asked.stdout.split() or ["0"]
    return int(parent), words


def program_name(words: list[str]) -> str:
    """What a command line runs: the file name of its program, of its script where that is an interpreter."""
    words = [word for word in words if word]
    if not words:
        return ""
    name = os.path.basename(words[0]).lstrip("-")  # noqa: PTH119
    if name.rstrip("0123456789.") not in INTERPRETERS:
        return name
    script = next((word for word in words[1:] if word == "-c" or not word.startswith("-")), "-c")
    return name if script == "-c" else os.path.basename(script)  # noqa: PTH119


if __name__ == "__main__":
    # Whatever hangs or fails, the CLI goes on.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        main(sys.argv[1:])
    except Exception:  # noqa: BLE001 - the top of a program that must not trouble the one that started it
        os._exit(0)
    os._exit(0)
