"""Settings from the environment, and the credentials that one process acts with."""

from pathlib import Path
from typing import Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    SecretStr,
    ValidationError,
    field_serializer,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from semo_office.errors import ConfigurationError
from semo_office.locations import Identity, StateFolder, read_json

SUPABASE_MESSAGES_PER_S: Final = 60.0
"""Supabase's smallest plan ends connections above 100; the rest is for hints, and for a second host."""
HUB_MESSAGES_PER_S: Final = 2000.0


class SupabaseSettings(BaseSettings):
    """`SEMO_SUPABASE_URL` and `SEMO_SUPABASE_KEY`: the office is on Supabase, not on this machine's hub."""

    model_config = SettingsConfigDict(env_prefix="SEMO_SUPABASE_", env_ignore_empty=True)

    url: str | None = None
    key: str | None = None


class MessageSettings(BaseSettings):
    """`SEMO_MESSAGES_PER_SECOND`: how many Realtime messages an agent may cause with output, receivers counted."""

    model_config = SettingsConfigDict(env_prefix="SEMO_", env_ignore_empty=True)

    messages_per_second: float | None = Field(default=None, gt=0)


class StoredCredentials(BaseModel):
    """`credentials/{operator,server,host}.json`. Address and key of a Supabase may come from the environment."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str | None = None
    publishable_key: str | None = None
    user_id: str
    access_token: SecretStr
    expires_at: AwareDatetime

    @field_serializer("access_token")
    def _reveal_in_a_private_file(self, token: SecretStr, info: FieldSerializationInfo) -> str:
        private = bool(info.context and info.context.get("private_file"))
        return token.get_secret_value() if private else str(token)


class Credentials(BaseModel):
    """Who this process is, and where its office is. The token is never printed."""

    model_config = ConfigDict(frozen=True)

    url: str
    publishable_key: str
    user_id: str
    access_token: SecretStr
    expires_at: AwareDatetime


def read_supabase_settings() -> SupabaseSettings:
    """Raises ConfigurationError when only one of the two variables is there."""
    try:
        settings = SupabaseSettings()
    except ValidationError as err:
        raise ConfigurationError("SEMO_SUPABASE_URL or SEMO_SUPABASE_KEY can't be read.") from err
    if (settings.url is None) != (settings.key is None):
        raise ConfigurationError("Set both SEMO_SUPABASE_URL and SEMO_SUPABASE_KEY, or neither.")
    return settings


def read_message_rate() -> float:
    """Messages a second for output, of all receivers together. Raises ConfigurationError."""
    try:
        configured = MessageSettings().messages_per_second
    except ValidationError as err:
        raise ConfigurationError("SEMO_MESSAGES_PER_SECOND is not a number above 0.") from err
    if configured is not None:
        return configured
    return HUB_MESSAGES_PER_S if read_supabase_settings().url is None else SUPABASE_MESSAGES_PER_S


def read_credentials(path: Path) -> Credentials:
    """One identity's credentials; the environment's address and key go before the file's. Raises ConfigurationError."""
    stored = read_json(path, StoredCredentials)
    settings = read_supabase_settings()
    url, key = settings.url or stored.url, settings.key or stored.publishable_key
    if url is None or key is None:
        raise ConfigurationError(
            f"{path} names no office. Set SEMO_SUPABASE_URL and SEMO_SUPABASE_KEY, or start `semo up`."
        )
    return Credentials(
        url=url,
        publishable_key=key,
        user_id=stored.user_id,
        access_token=stored.access_token,
        expires_at=stored.expires_at,
    )


class CredentialsFile:
    """A source of credentials for `Link.open`: reads the file anew at each call, because the hub renews it."""

    def __init__(self, state: StateFolder, identity: Identity) -> None:
        self.path = state.credentials_of(identity)

    def __call__(self) -> Credentials:
        """Blocking. Raises ConfigurationError."""
        return read_credentials(self.path)
