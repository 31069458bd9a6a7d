"""Start a program that refuses to run as root, and let it die with its parent.

python -m semo_hub.unprivileged [--parent PID] [--as-nobody] [--check] -- PROGRAM ARGUMENT...

As root the program gets a user namespace in which root is called 1000: it is content, and every file stays
owned by the real user. With `--as-nobody` it becomes the user nobody instead. Anyone else is left alone.
Only the standard library is used, so that it also runs as a plain file with `python -I -S`.
"""

import argparse
import ctypes
import os
import pwd
import signal
import sys

NAMESPACE_REFUSED = 77
CANNOT_EXECUTE = 78

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_ORDINARY_ID = 1000


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    if os.geteuid() == 0:
        try:
            _become_nobody() if options.as_nobody else _enter_user_namespace()
        except OSError as err:
            sys.stderr.write(f"cannot give up root: {err}\n")
            return NAMESPACE_REFUSED
    if options.check:
        return 0
    # After the identity has changed, because a change of credentials clears it; before exec, which keeps it.
    _die_with(options.parent)
    try:
        os.execv(options.program[0], options.program)  # noqa: S606 (argv only, named by the hub)
    except OSError as err:
        sys.stderr.write(f"cannot execute {options.program[0]}: {err.strerror}\n")
        return CANNOT_EXECUTE


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="semo_hub.unprivileged")
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--as-nobody", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("program", nargs="*")
    options = parser.parse_args(arguments)
    if not options.program and not options.check:
        parser.error("which program?")
    return options


def _enter_user_namespace() -> None:
    if not sys.platform.startswith("linux"):
        raise OSError("there are no user namespaces on this system")
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # The kernel accepts a gid map from us only after setgroups has been given up.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_ORDINARY_ID} {user} 1"),
        ("gid_map", f"{_ORDINARY_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib costs start-up time)
            file.write(text)


def _become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGINT, PostgreSQL's fast shutdown, when the parent is gone; Linux only."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    # It may have died before we asked.
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
