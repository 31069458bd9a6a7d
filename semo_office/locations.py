"""Where SEMO keeps its files. Imported by every program at its start, so nothing heavy is imported here."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from semo_office.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel

    ModelT = TypeVar("ModelT", bound=BaseModel)
else:
    ModelT = TypeVar("ModelT")

STATE_VARIABLE = "SEMO_STATE_DIR"
CONFIG_VARIABLE = "SEMO_CONFIG_DIR"

Identity = Literal["operator", "server", "host"]

# What a model with secrets looks for in its serializer: only `write_json` sets it.
WRITING_A_PRIVATE_FILE = {"private_file": True}

_CHOOSE_ANOTHER = f"Choose another state folder with --state-dir or {STATE_VARIABLE}."


@dataclass(frozen=True)
class StateFolder:
    """One office system's files on this machine; every file 0600, every folder 0700."""

    path: Path

    @classmethod
    def find(cls, chosen: Path | None = None) -> "StateFolder":
        """The folder chosen on the command line, else `SEMO_STATE_DIR`, else the user's own."""
        if chosen is not None:
            return cls(chosen.expanduser().absolute())
        if from_environment := os.environ.get(STATE_VARIABLE):
            return cls(Path(from_environment).expanduser().absolute())
        from platformdirs import user_state_path

        return cls(user_state_path("semo", appauthor=False))

    @property
    def hub(self) -> Path:
        """The hub's database, keys and lock."""
        return self.path / "hub"

    @property
    def run(self) -> Path:
        """One record for each background process that runs."""
        return self.path / "run"

    @property
    def credentials(self) -> Path:
        return self.path / "credentials"

    @property
    def agent(self) -> Path:
        """The agent's journal and transcripts."""
        return self.path / "agent"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def console_memory(self) -> Path:
        """Selection, layout and drafts of the console."""
        return self.path / "console.json"

    def credentials_of(self, identity: Identity) -> Path:
        return self.credentials / f"{identity}.json"

    def process_record(self, name: str) -> Path:
        return self.run / f"{name}.json"

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def prepare(self) -> "StateFolder":
        """Make the folder and its parts, for this user only. Raises ConfigurationError."""
        for folder in (self.path, self.hub, self.run, self.credentials, self.agent, self.logs):
            _make_private(folder)
        if not os.access(self.path, os.W_OK | os.X_OK) or not _accepts_a_file(self.path):
            raise ConfigurationError(f"{self.path} can't be written. {_CHOOSE_ANOTHER}")
        return self


def config_folder() -> Path:
    """The user's own configuration (profiles): `SEMO_CONFIG_DIR`, else the platform's. It may not exist."""
    if from_environment := os.environ.get(CONFIG_VARIABLE):
        return Path(from_environment).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("semo", appauthor=False)


def read_json(path: Path, model: "type[ModelT]") -> "ModelT":
    """Read a file that SEMO wrote. Raises ConfigurationError, which names the file and what to do."""
    from pydantic import ValidationError

    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as err:
        raise ConfigurationError(f"{path} does not exist. `semo up` makes it.") from err
    except OSError as err:
        raise ConfigurationError(f"{path} can't be read: {err.strerror}.") from err
    except ValidationError as err:
        raise ConfigurationError(
            f"{path} is damaged or not a file of this version. Delete it and start `semo up` again."
        ) from err


def write_json(path: Path, model: "BaseModel") -> None:
    """Replace a file as a whole, 0600: a reader sees the old content or the new. Raises ConfigurationError."""
    text = model.model_dump_json(indent=2, context=WRITING_A_PRIVATE_FILE) + "\n"
    try:
        # mkstemp makes the file 0600, in the same folder so that the rename is atomic.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as err:
        raise ConfigurationError(f"{path.parent} can't be written: {err.strerror}.") from err
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} can't be written: {err.strerror}.") from err


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except (FileExistsError, NotADirectoryError) as err:
        raise ConfigurationError(f"{folder} can't be a folder: a file is in its way. {_CHOOSE_ANOTHER}") from err
    except OSError as err:
        raise ConfigurationError(f"{folder} can't be made: {err.strerror}. {_CHOOSE_ANOTHER}") from err


def _accepts_a_file(folder: Path) -> bool:
    """A file system that is read-only or full shows only when something is written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError:
        return False
    return True
