"""`semo token`: what a program shows to the API to act as the operator."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from semo_console.cli.actions.office import require_office
from semo_console.cli.actions.wording import print_json, remark, say
from semo_console.errors import ConsoleError
from semo_console.processes import Processes
from semo_office.config import CredentialsFile
from semo_office.locations import StateFolder


def print_token(state_dir: Path | None, *, as_json: bool) -> None:
    """Print the operator's token, read anew. Raises ConsoleError, ConfigurationError."""
    state = StateFolder.find(state_dir)
    require_office(state)
    credentials = CredentialsFile(state, "operator")()
    left = credentials.expires_at - datetime.now(UTC)
    if left <= timedelta():
        raise ConsoleError("The operator's token has expired. `semo up` brings the hub up, which renews it.")
    server = Processes(state).find("server")
    token = credentials.access_token.get_secret_value()
    if as_json:
        print_json(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_at": credentials.expires_at.isoformat(),
                "api": server.url if server else None,
            }
        )
    else:
        say(token)
        remark(f"It acts as you, and holds for {_in_words(left)}.")


def _in_words(left: timedelta) -> str:
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h {minutes} min"
