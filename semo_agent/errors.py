"""Errors of the agent.

AgentError
├── ConfigurationError     the agent can't run as it is configured
├── ProfileError           a profile can't be read
│   └── UnknownProfile     there is none of this name
├── ClaimLost              the office gave the command to someone else, or ended it
├── AlreadyTyped           the command was typed before, or may have been
├── Superseded             another agent process acts for this host
├── Stopping               the agent stops; what runs goes on and is looked after at its next start
└── TerminalError          the terminal did not do it
    ├── TabNotFound        the tab is gone
    ├── LaunchFailed       the program can't be started
    ├── TerminalTimeout    no answer within the deadline
    └── TerminalDied       holder, tmux server or iTerm2 is gone
"""


class AgentError(Exception):
    """Something the agent can't do."""


class ConfigurationError(AgentError):
    """The agent can't run as it is configured."""


class ProfileError(AgentError):
    """A profile can't be read."""


class UnknownProfile(ProfileError):
    """There is no profile of this name."""


class ClaimLost(AgentError):
    """The office gave the command to someone else, or ended it. Nothing more is to be done for it."""


class AlreadyTyped(AgentError):
    """The command was typed before, or may have been. It is never typed again."""


class Superseded(AgentError):
    """Another agent process acts for this host. Nothing more may be typed."""


class Stopping(AgentError):
    """The agent stops. What runs goes on in its terminal and is looked after at the next start."""


class TerminalError(AgentError):
    """The terminal did not do what was asked."""


class TabNotFound(TerminalError):
    """The tab is gone."""


class LaunchFailed(TerminalError):
    """The program can't be started."""


class TerminalTimeout(TerminalError):
    """The terminal did not answer within its deadline."""


class TerminalDied(TerminalError):
    """The program that keeps the terminals is gone."""
