"""Keys and tokens: who is asking, and what the database is told about them."""

import base64
import hmac
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from semo_hub.errors import BadToken, BrokenFile, UnknownKey
from semo_hub.private_files import read_json, write_json

ROLES = ("anon", "authenticated", "service_role")
AUDIENCE = "authenticated"

_ALGORITHM = "HS256"  # the only one accepted: the secret must never be taken for a public key
_LEEWAY = 30  # s of clock difference, as PostgREST allows

Clock = Callable[[], float]


@dataclass(frozen=True)
class Caller:
    """Whom the database sees: a role, the claims of the token, when that ends (unix time, None: never)."""

    role: str
    claims: Mapping[str, Any]
    expires_at: float | None = None


@dataclass(frozen=True, repr=False)
class Keys:
    """The secrets of one hub. They have no repr, so that no log can show them."""

    jwt_secret: str
    publishable_key: str
    secret_key: str

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Read the keys from `path`, made there on the first call.

        Raises BrokenFile when the file holds something else; it is never overwritten.
        """
        remedy = "restore it, or remove it to get new keys (tokens given out before stop working)"
        content = read_json(path, remedy=remedy)
        if content is None:
            keys = cls(secrets.token_hex(32), _new_key("sb_publishable_"), _new_key("sb_secret_"))
            write_json(path, vars(keys))
            return keys
        if set(content) != set(cls.__dataclass_fields__) or not all(isinstance(v, str) and v for v in content.values()):
            raise BrokenFile(f"{path} does not hold the three keys of a hub: {remedy}.")
        return cls(**content)


class Authority:
    """Mints tokens, and tells who brings which key or token."""

    def __init__(self, keys: Keys, issuer: str, *, now: Clock = time.time) -> None:
        """`issuer`: the URL of /auth/v1, named in every token."""
        self._keys = keys
        self._issuer = issuer
        self._now = now
        self._verified: dict[str, Caller] = {}

    def mint(self, *, sub: str, ttl: float, role: str = "authenticated") -> str:
        """A signed token for user `sub`, good for `ttl` seconds."""
        issued = int(self._now())
        claims = {
            "iss": self._issuer,
            "sub": sub,
            "aud": AUDIENCE,
            "role": role,
            "iat": issued,
            "exp": issued + int(ttl),
            "session_id": str(uuid.uuid4()),
        }
        return jwt.encode(claims, self._keys.jwt_secret, algorithm=_ALGORITHM)

    def identify(self, apikey: str, token: str | None) -> Caller:
        """Who asks: the user of `token`, or the role of `apikey` when the token is absent or that same key.

        Raises UnknownKey and BadToken.
        """
        by_key = self.role_of_key(apikey)
        if token is None or hmac.compare_digest(token.encode(), apikey.encode()):
            return by_key
        return self.verify(token)

    def role_of_key(self, apikey: str) -> Caller:
        """The caller that an API key alone stands for. Raises UnknownKey."""
        offered = apikey.encode()
        if hmac.compare_digest(offered, self._keys.publishable_key.encode()):
            return Caller("anon", {"role": "anon"})
        if hmac.compare_digest(offered, self._keys.secret_key.encode()):
            return Caller("service_role", {"role": "service_role"})
        raise UnknownKey("Invalid API key")

    def verify(self, token: str) -> Caller:
        """The user of a token signed by this hub. Raises BadToken when it is not, or has expired."""
        caller = self._verified.get(token) or self._decode(token)
        expired_for = self._now() - (caller.expires_at or 0)
        if expired_for > _LEEWAY:
            self._verified.pop(token, None)
            raise BadToken("JWT expired", expired_for=expired_for)
        return caller

    def _decode(self, token: str) -> Caller:
        try:
            claims = jwt.decode(
                token,
                self._keys.jwt_secret,
                algorithms=[_ALGORITHM],
                # Times are compared with our own clock, in verify() and below.
                options={
                    "require": ["exp", "role"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            expires_at = float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as err:
            raise BadToken(f"JWT could not be decoded: {err}") from err
        if claims["role"] not in ROLES:
            raise BadToken("JWT names a role that does not exist here")
        self._remember(token, Caller(claims["role"], claims, expires_at))
        return self._verified[token]

    def _remember(self, token: str, caller: Caller) -> None:
        """A signature is checked once, not at every request; the memory is bounded."""
        if len(self._verified) >= 256:
            self._verified.clear()
        self._verified[token] = caller


def is_opaque_key(text: str) -> bool:
    """Whether `text` has the form of an API key, which is never a token."""
    return text.startswith("sb_")


def _new_key(prefix: str) -> str:
    return prefix + base64.urlsafe_b64encode(secrets.token_bytes(24)).decode()
