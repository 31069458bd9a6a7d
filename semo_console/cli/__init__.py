"""The `semo` command."""

import sys
from collections.abc import Sequence

from semo_console.cli.exits import ExitCode
from semo_console.cli.garbage import collected_later
from semo_console.errors import ConsoleError, Superseded
from semo_office.errors import OfficeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    with collected_later():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    """The one place where an error becomes a sentence on standard error."""
    from typer import TyperException

    from semo_console.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # Output of programs is UTF-8 whatever the locale says.
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # TextIO in typeshed
    try:
        code: int | None = app(args=arguments, prog_name="semo", standalone_mode=False)
        # Typer's own code for an interruption, whichever signal it was.
        return _interrupted() if code == ExitCode.INTERRUPTED else code or ExitCode.OK
    except TyperException as error:
        return _refuse(f"{_sentence(error.format_message())} `semo --help` lists what there is.", ExitCode.USAGE)
    except Superseded as error:
        return _refuse(str(error), ExitCode.SUPERSEDED)
    except (ConsoleError, OfficeError) as error:
        return _refuse(str(error), ExitCode.FAILED)
    except PermissionError as error:
        return _refuse(
            f"{error.filename} is not yours to use. Choose another state folder with --state-dir.", ExitCode.FAILED
        )
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return _leave_quietly()
    except Exception as error:  # noqa: BLE001  # the top: it is logged, and the operator is told where
        from semo_console.cli.crash import record_crash

        return _refuse(record_crash(error), ExitCode.FAILED)


def _sentence(message: str) -> str:
    """Typer's message without what only a programmer understands."""
    words = message.replace(" Value error, ", " ").rstrip(".")
    return words if words.endswith("?") else f"{words}."


def _refuse(sentence: str, code: ExitCode) -> ExitCode:
    one_line = " ".join(line.strip() for line in sentence.splitlines())
    sys.stderr.write(f"semo: {one_line}\n")
    return code


def _interrupted() -> ExitCode:
    from semo_console.cli.interruption import exit_code_of_interruption

    return exit_code_of_interruption()


def _leave_quietly() -> ExitCode:
    """The reader of our output has gone (`semo output … | head`): nothing is left to say, at exit neither."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.FAILED
