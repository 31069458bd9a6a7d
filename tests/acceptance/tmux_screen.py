"""A program in a terminal of its own: real tmux, keys by send-keys, its screen by capture-pane."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.machine import eventually
from tests.integration.terminals.kit import is_alive

SEEN_WITHIN_S = 30.0

# tmux may lose the last output of a program that ends with its window.
OUTLIVE = 'status=$1; shift; "$@"; echo $? >"$status.new"; mv "$status.new" "$status"; exec cat'


@dataclass(frozen=True)
class TmuxScreen:
    """One window of a tmux server that nobody else uses."""

    socket: Path

    def press(self, *keys: str) -> None:
        """Keys by tmux's names (`Escape`, `C-j`), or single letters."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Text as it is."""
        self._tmux("send-keys", "-l", text)

    def paste(self, text: str) -> None:
        """Text as a terminal pastes it, between the marks that the program asked for."""
        self._tmux("set-buffer", "-b", "pasted", text)
        self._tmux("paste-buffer", "-p", "-d", "-b", "pasted")

    def resize(self, cols: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    def sees(self, *parts: str, absent: Sequence[str] = ()) -> str:
        """The screen once all of this is on it, and nothing of that. Raises AssertionError with the screen."""

        def seen() -> str:
            screen = self.text()
            fits = all(part in screen for part in parts) and not any(part in screen for part in absent)
            return screen if fits else ""

        try:
            return eventually(seen, f"{parts} on the screen, without {absent}", within=SEEN_WITHIN_S)
        except AssertionError as err:
            raise AssertionError(f"{err}\n{self.text()}") from None

    def exit_status(self) -> int:
        """How the program ended; its last output stays."""
        status = status_of(self.socket)
        eventually(status.exists, "the program has ended", within=SEEN_WITHIN_S)
        return int(status.read_text())

    def server_pid(self) -> int:
        return int(self._tmux("display-message", "-p", "#{pid}"))

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout


def status_of(socket: Path) -> Path:
    """The file that gets the exit status of the program on this screen."""
    return socket.with_suffix(".status")


@contextmanager
def tmux_screen(
    socket: Path, argv: Sequence[str], *, environment: Mapping[str, str], cwd: Path, cols: int = 120, rows: int = 40
) -> Iterator[TmuxScreen]:
    """Run a program on a screen of this size; tmux is gone afterwards, and the program with it."""
    config = socket.with_suffix(".conf")
    config.write_text("set -g status off\nset -g default-terminal tmux-256color\n")
    status_of(socket).unlink(missing_ok=True)
    start = ["tmux", "-S", str(socket), "-f", str(config), "new-session", "-d", "-x", str(cols), "-y", str(rows)]
    program = ["sh", "-c", OUTLIVE, "sh", str(status_of(socket)), *argv]
    subprocess.run([*start, *program], env=dict(environment), cwd=cwd, timeout=20, check=True)
    screen = TmuxScreen(socket)
    server = screen.server_pid()
    try:
        yield screen
    finally:
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, timeout=20, check=False)
        # The next one on this socket would be let in by a server that is about to go.
        eventually(lambda: not is_alive(server), "tmux has ended", within=SEEN_WITHIN_S)
