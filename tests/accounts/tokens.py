"""Tokens as tests look at them: in cookies, taken apart, forged."""

import base64
import json
from collections.abc import Awaitable, Mapping
from http.cookies import Morsel, SimpleCookie
from typing import Any, cast
from uuid import UUID

import httpx
from joserfc import jws
from joserfc.jwk import OKPKey
from valkey.asyncio import Valkey

from app.security.keys import KeyRing
from tests.service import Service

ACCESS, REFRESH, DEVICE = "access_token", "refresh_token", "device"


def cookie(answer: httpx.Response, name: str) -> "Morsel[str]":
    """A cookie that an answer sets, with its attributes."""
    found: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        found.load(header)
    return found[name]


def held(client: httpx.AsyncClient, name: str) -> str:
    """The value of a cookie that a client keeps."""
    value = client.cookies.get(name)
    assert value
    return value


def with_cookies(service: Service, **cookies: str) -> httpx.AsyncClient:
    """A client that sends these cookies, and no others, with its first request."""
    return service.client(headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())})


def bearer(service: Service, token: str) -> httpx.AsyncClient:
    """A client that sends a token in the Authorization header."""
    return service.client(headers={"Authorization": f"Bearer {token}"})


def record(sid: UUID) -> str:
    """Where the JTI store keeps a session."""
    return f"irontrack:refresh:{sid.hex}"


async def stored(valkey: Valkey, sid: UUID, field: str) -> str | None:
    """What the JTI store knows of a session."""
    # The client's types are those of its synchronous twin as well.
    value = await cast("Awaitable[bytes | None]", valkey.hget(record(sid), field))
    return value.decode() if value else None


async def store(valkey: Valkey, sid: UUID, field: str, value: int) -> None:
    """Change what the JTI store knows of a session."""
    await cast("Awaitable[int]", valkey.hset(record(sid), field, str(value)))


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, unverified."""
    return _decoded(token.split(".", maxsplit=1)[0])


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    return _decoded(token.split(".")[1])


def sid_of(token: str) -> UUID:
    """The session of a token."""
    return UUID(claims_of(token)["sid"])


def signing_key(service: Service) -> OKPKey:
    """The key of the service itself."""
    return KeyRing.from_json(service.settings.security.private_key).signing_key


def signed(key: OKPKey, token: str, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token with some claims and header members changed, and a valid signature of this key."""
    changed = {name: value for name, value in {**claims_of(token), **claims}.items() if value is not None}
    payload = json.dumps(changed).encode()
    return jws.serialize_compact({**header_of(token), **(header or {})}, payload, key, algorithms=["Ed25519"])


def unsigned(token: str, **header: Any) -> str:
    """A token whose header says that it needs no signature."""
    return f"{_encoded({**header_of(token), **header})}.{token.split('.')[1]}."


def with_payload(token: str, **claims: Any) -> str:
    """A token with other claims under the old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{_encoded({**claims_of(token), **claims})}.{signature}"


def _decoded(part: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
