"""Start a program that refuses to run as root, and let it die with its parent.

python -m semo_hub.unprivileged [--parent PID] [--as-nobody] -- PROGRAM ARGUMENT...
python -m semo_hub.unprivileged [--as-nobody] --check -- PATH...

As root the program gets a user namespace in which root is called 1000: it is content, and every file stays
owned by the real user. With `--as-nobody` it becomes the user nobody instead, who may still pass through any
folder. Anyone else is left alone.
Only the standard library is used, so that it also runs as a plain file with `python -I -S`.
"""

import argparse
import ctypes
import os
import pwd
import signal
import struct
import sys

NAMESPACE_REFUSED = 77
CANNOT_EXECUTE = 78

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
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
        return _check(options.program)
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


def _check(paths: list[str]) -> int:
    """Whether this identity can enter the folders and execute the files in `paths`; says which not."""
    for path in paths:
        # access() ignores capabilities, which count for opening; PostgreSQL asks it about its own program.
        if not os.path.isdir(f"{path}/.") and not os.access(path, os.X_OK):  # noqa: PTH112 (start-up time)
            sys.stdout.write(path)
            return CANNOT_EXECUTE
    return 0


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
    libc = ctypes.CDLL(None, use_errno=True)
    linux = sys.platform.startswith("linux")
    if linux:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    if linux:
        _keep_access_to_folders(libc)


def _keep_access_to_folders(libc: ctypes.CDLL) -> None:
    """Keep the one capability that leads through a home folder of root, which is closed to nobody.

    Where even that is refused, the caller finds out that the folder cannot be reached.
    """
    header = struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    one = 1 << _CAP_DAC_OVERRIDE
    libc.capset(header, struct.pack("6I", one, one, one, 0, 0, 0))
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


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
