"""What a session starts: argv and the complete environment of its program."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from semo_agent.hooks.spool import Spool
from semo_agent.profiles.profile import Profile

# Words about the terminal that the agent itself was started in; the session has its own.
_OTHER_TERMINAL = frozenset(
    {"TERM", "COLORTERM", "COLUMNS", "LINES", "TERMCAP", "TMUX", "TMUX_PANE", "STY", "WINDOW", "WINDOWID", "TERMID",
     "LC_TERMINAL", "LC_TERMINAL_VERSION", "VTE_VERSION", "SHLVL", "PWD", "OLDPWD", "_"}
)  # fmt: skip
_OTHER_TERMINAL_PREFIXES = (
    "SEMO_",
    "TERM_",
    "ITERM_",
    "ITERM2_",
    "KITTY_",
    "GHOSTTY_",
    "WEZTERM_",
    "ALACRITTY_",
    "KONSOLE_",
)


@dataclass(frozen=True, slots=True)
class Launched:
    """What to run. `mark_id` tells the program's own marks from others'; None: it does not say."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    mark_id: str | None


def prepare_launch(profile: Profile, session_id: str, own_environment: Mapping[str, str], spool: Spool) -> Launched:
    """The program of a profile, with its hooks attached. Blocking.

    own_environment: the user's; nothing of it that speaks to SEMO is passed on. spool: where hooks put their events.
    """
    env = program_environment(own_environment, session_id) | profile.launch.env
    if profile.hooks is not None:
        attached = spool.attach(profile.hooks)
        argv = (*profile.launch.argv, profile.hooks.settings_argument, str(spool.settings))
        return Launched(argv, env | dict(attached), None)
    if profile.launch.integration is None:
        return Launched(tuple(profile.launch.argv), env, None)
    mark_id = secrets.token_hex(8)
    shell = _shell_of(own_environment)
    if Path(shell).name == "zsh":
        return Launched((shell, "-i"), env | _zsh_words(own_environment, mark_id), mark_id)
    return Launched(
        (shell, "--rcfile", str(_integration() / "bash.rc"), "-i"), env | {"SEMO_MARK_ID": mark_id}, mark_id
    )


def program_environment(own: Mapping[str, str], session_id: str) -> dict[str, str]:
    """The user's environment as a program in a terminal of ours gets it."""
    env = {name: value for name, value in own.items() if _is_the_users(name)}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "SEMO": "1", "SEMO_SESSION_ID": session_id}
    if not _speaks_utf8(env):
        env.pop("LC_ALL", None)
        env["LC_CTYPE"] = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    return env


def _is_the_users(name: str) -> bool:
    return name not in _OTHER_TERMINAL and not name.startswith(_OTHER_TERMINAL_PREFIXES)


def _speaks_utf8(env: Mapping[str, str]) -> bool:
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
    return locale.lower().replace("-", "").endswith("utf8")


def _shell_of(own: Mapping[str, str]) -> str:
    shell = own.get("SHELL", "")
    known = Path(shell).name in {"bash", "zsh"} and Path(shell).is_file()
    return shell if known else "/bin/bash"


def _zsh_words(own: Mapping[str, str], mark_id: str) -> dict[str, str]:
    words = {"SEMO_MARK_ID": mark_id, "ZDOTDIR": str(_integration())}
    return words | ({"SEMO_USER_ZDOTDIR": own["ZDOTDIR"]} if own.get("ZDOTDIR") else {})


def _integration() -> Path:
    return Path(str(files("semo_agent.profiles") / "shell_integration"))
