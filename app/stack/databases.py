"""PostgreSQL and Valkey as the stack runs them: from the same templates as elsewhere."""

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg

from app.embedded import EmbeddedValkey
from app.embedded.folder import secret
from app.embedded.postgres import OWNER_FILE
from app.stack.templates import TEMPLATES, render, write_private

__all__ = (
    "MOST_MEMORY",
    "VALKEY_MEMORY",
    "apply_roles",
    "memory_of_this_machine",
    "postgres_settings",
    "postgres_settings_file",
    "scram_secret",
    "separate_owner_password",
    "valkey_configuration",
    "valkey_users",
)

MOST_MEMORY: Final = 12 * 1024
VALKEY_MEMORY: Final = 256
_SETTING = re.compile(r"^([a-z_]+) = (.*)$", re.MULTILINE)
_SECRET = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$")
_ROLES = TEMPLATES / "postgres" / "roles.sql"


def memory_of_this_machine() -> int:
    """Megabytes that PostgreSQL may reckon with: those of the machine, 12 GB at most."""
    return min(MOST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20)


def postgres_settings(memory: int, connections: int) -> dict[str, str]:
    """PostgreSQL's settings by their names.

    Args:
        memory: megabytes of the machine.
        connections: that it takes.
    """
    text = postgres_settings_file(memory, connections, {})
    return {name: value.strip("'") for name, value in _SETTING.findall(text)}


def postgres_settings_file(memory: int, connections: int, more: Mapping[str, str]) -> str:
    """The same as a file, with further ones that depend on where it runs."""
    return render("postgres/postgresql.conf.mako", memory=memory, connections=connections, more=more)


def separate_owner_password(data: Path) -> None:
    """Give the application's role a password of its own: whoever serves requests must not be the superuser."""
    own = data / OWNER_FILE
    if own.exists():
        return
    if (data / "postgres").exists():
        # The cluster knows them as one; `litestar stack rotate-passwords` parts them.
        write_private(own, secret(data / "postgres.password"))
    else:
        secret(own)


def valkey_users(password: str) -> str:
    """The one user, who may do what the application does."""
    return render("valkey/users.acl.mako", digest=hashlib.sha256(password.encode()).hexdigest())


def valkey_configuration(server: EmbeddedValkey, password: str) -> str:
    """The configuration of the embedded Valkey, its user included."""
    return render(
        "valkey/valkey.conf.mako",
        socket=server.socket,
        socket_mode="700",
        folder=server.files,
        memory=VALKEY_MEMORY,
        acl_file="",
        acl=valkey_users(password),
    )


async def apply_roles(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Bring roles, their limits and their passwords to what they have to be.

    Args:
        superuser_url: of the server.
        passwords: by role.
    """
    url, _, options = superuser_url.replace("+asyncpg", "", 1).partition("?")
    connection = await asyncpg.connect(f"{url.rpartition('/')[0]}/irontrack?{options}")
    try:
        await connection.execute(_ROLES.read_text("utf-8"))
        for role, password in passwords.items():
            held = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
            if not _is_secret_of(held or "", password):
                # Whoever is logged in at PgBouncer is known by the secret: the same password keeps its own. And no log
                # of the server ever shows a password.
                await connection.execute(f"ALTER ROLE \"{role}\" PASSWORD '{scram_secret(password)}'")
    finally:
        await connection.close()


def scram_secret(password: str, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What PostgreSQL stores of a password (RFC 5803)."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(client)}:{_text(server)}"


def _is_secret_of(secret: str, password: str) -> bool:
    found = _SECRET.match(secret)
    return found is not None and secret == scram_secret(password, b64decode(found[2]), int(found[1]))


def _text(value: bytes) -> str:
    return b64encode(value).decode()
