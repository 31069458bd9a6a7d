"""Errors of the agent.

AgentError
├── ConfigurationError     the agent can't run as it is configured
├── ProfileError           a profile can't be read
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
