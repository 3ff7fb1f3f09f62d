"""Clients, their scopes and their tokens: OAuth2 client credentials, as a stack answers them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

FULL = ("openid", "orchestration:read", "orchestration:write")
READ_ONLY = ("openid", "orchestration:read")
_READING = ("GET", "HEAD", "OPTIONS", "TRACE")


class TokenError(Exception):
    """A token that is not given; ``answer`` is the body."""

    def __init__(self, status: int, error: str, description: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.answer = {"error": error} | ({"error_description": description} if description else {})


@dataclass(frozen=True)
class Client:
    """Who may ask for a token, and what for."""

    secret: str
    scopes: tuple[str, ...]


@dataclass
class Authority:
    """Gives tokens and knows them again, also those of an earlier process with the same key.

    :param clients: by their ids; none at all means that there is no authentication.
    :param token_seconds: seconds that a token lasts.
    :param key: what the tokens are signed with.
    """

    clients: dict[str, Client]
    token_seconds: float = 3599.0
    key: bytes = field(default_factory=lambda: os.urandom(32))
    expired_before: float = 0.0
    given: int = 0

    def give(self, authorization: str, body: str) -> dict[str, object]:
        """Answer a request for a token.

        :param authorization: the header, or empty.
        :param body: the form.
        :raises TokenError: no token is given.
        """
        form = dict(parse_qsl(body, keep_blank_values=True))
        grant = form.get("grant_type", "")
        if not grant:
            raise TokenError(400, "invalid_request", "grant_type missing")
        if grant != "client_credentials":
            raise TokenError(400, "unsupported_grant_type", f"{grant} not supported")
        client_id, secret = _credentials(authorization, form)
        client = self.clients.get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise TokenError(401, "invalid_client")
        scopes = [scope for scope in form.get("scope", "").split() if scope in client.scopes]
        self.given += 1
        token = self._sign({"sub": client_id, "scopes": scopes, "iat": time.time(), "jti": os.urandom(8).hex()})
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self.token_seconds)}

    def _sign(self, claims: dict[str, object]) -> str:
        claims["exp"] = time.time() + self.token_seconds
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        digest = hmac.new(self.key, signed.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def allows(self, authorization: str, method: str) -> bool:
        """Whether a request may be made: reading wants a scope of either kind, the rest the one to write."""
        if not self.clients:
            return True
        if authorization[:6] not in ("Bearer", "bearer"):
            return False
        signed, _, signature = authorization[6:].strip().rpartition(".")
        if not signed or not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            return False
        claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        if claims["exp"] <= time.time() or claims["iat"] <= self.expired_before:
            return False
        wanted = {"orchestration:write"} | ({"orchestration:read"} if method in _READING else set())
        return bool(wanted & set(claims["scopes"]))

    def expire_all(self) -> None:
        """Every token given so far is worth nothing from now on."""
        self.expired_before = time.time()


def _encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def _credentials(authorization: str, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote(client_id), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")
