import signal
from collections.abc import Iterator

import pytest

from semo_console.cli import interruption
from semo_console.cli.exits import ExitCode
from semo_console.cli.interruption import exit_code_of_interruption, held_back, stop_on_sigterm


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interruption, "_terminated", [])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("interrupt", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_interrupts_even_where_ctrl_c_is_ignored(interrupt: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, interrupt)
    stop_on_sigterm()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert exit_code_of_interruption() is ExitCode.TERMINATED


def test_ctrl_c_keeps_its_own_exit_code() -> None:
    stop_on_sigterm()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert exit_code_of_interruption() is ExitCode.INTERRUPTED


def test_an_interruption_that_is_held_back_comes_after_the_block() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
