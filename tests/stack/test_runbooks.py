"""What the runbooks rely on: a password may change at both ends, in either order, and no connection fails of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from app.db import connecting
from app.db.connecting import connect
from tests.servers import driver_url


@pytest.fixture
async def role(postgres_urls: tuple[str, str]) -> AsyncIterator[str]:
    """A role that logs in with the password `old`."""
    name = f"role_{uuid4().hex}"
    await as_superuser(postgres_urls, f"CREATE ROLE {name} LOGIN PASSWORD 'old'")
    yield name
    await as_superuser(postgres_urls, f"DROP ROLE {name}")


async def as_superuser(postgres_urls: tuple[str, str], statement: str) -> None:
    superuser = await asyncpg.connect(driver_url(postgres_urls[1]))
    try:
        await superuser.execute(statement)
    finally:
        await superuser.close()


@pytest.mark.parametrize("file_first", [True, False])
async def test_a_connection_waits_until_both_sides_have_the_new_password(
    postgres_urls: tuple[str, str], role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_first: bool
) -> None:
    monkeypatch.setattr(connecting, "_IN_STEP_WITHIN", 60.0)
    file = tmp_path / "password"
    file.write_text("new" if file_first else "old")

    async def tell_postgres() -> None:
        await as_superuser(postgres_urls, f"ALTER ROLE {role} PASSWORD 'new'")

    if not file_first:
        await tell_postgres()
    opening = asyncio.create_task(connect(driver_url(postgres_urls[1]), user=role, password_file=str(file)))
    finished, _ = await asyncio.wait([opening], timeout=0.3)
    assert not finished
    if file_first:
        await tell_postgres()
    else:
        file.write_text("new")
    connection = await opening
    assert await connection.fetchval("SELECT current_user") == role
    await connection.close()


async def test_a_password_that_stays_wrong_is_told(
    postgres_urls: tuple[str, str], role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_IN_STEP_WITHIN", 0.2)
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(driver_url(postgres_urls[1]), user=role, password_file=str(tmp_path / "password"))
    os.unlink(tmp_path / "password")
    with pytest.raises(OSError, match="password"):
        await connect(driver_url(postgres_urls[1]), user=role, password_file=str(tmp_path / "password"))
