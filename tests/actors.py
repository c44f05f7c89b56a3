"""People who use the service in tests: their accounts are rows, their sessions come from a real sign-in."""

from typing import Literal
from uuid import UUID

import asyncpg
import httpx
from argon2 import PasswordHasher
from msgspec import Struct

from app.db.base import uuid7
from tests.factories import PASSWORD, email
from tests.service import Service

"""Of every actor."""

_PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
Role = Literal["application-access", "fitness-trainer", "superuser"]

_CREATE = """
INSERT INTO user_account (id, name, email, password, is_superuser, role_id)
SELECT $1, $2, $3, $4, $5 = 'superuser', id FROM role WHERE slug = $5
"""


class Actor(Struct, frozen=True):
    """A person with an account.

    Attributes:
        client: signed in by cookie.
    """

    id: UUID
    name: str
    email: str
    password: str
    client: httpx.AsyncClient


async def create_actor(
    service: Service,
    connection: "asyncpg.Connection[asyncpg.Record]",
    role: Role = "application-access",
    name: str = "Ada",
) -> Actor:
    """Create an account and sign it in."""
    user_id, address = uuid7(), email()
    await connection.execute(_CREATE, user_id, name, address, _PASSWORD_HASH, role)
    client = service.client()
    await sign_in(client, address)
    return Actor(user_id, name, address, PASSWORD, client)


async def sign_in(client: httpx.AsyncClient, address: str, password: str = PASSWORD) -> None:
    """Sign a client in; it keeps the cookies."""
    answer = await client.post("/api/v1/access/signin", json={"email": address, "password": password})
    assert answer.status_code == 204, answer.text
