"""Backups: made, verified, restored, and refused when they are not what they should be."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from app.cli.backup import backup_command
from app.db import backup
from app.db.backup import BackupFailed, Place, back_up, restore
from app.db.engine import database_config
from app.settings import load_settings
from tests.actors import Actor
from tests.servers import Database, driver_url

MakeDatabase = Callable[[], Awaitable[str]]
Scratches = Callable[[], Awaitable[set[str]]]


@pytest.fixture
def admin(postgres_urls: tuple[str, str]) -> Place:
    return Place.of(postgres_urls[1])


@pytest.fixture
def scratches(admin: Place, worker_id: str) -> Scratches:
    """The scratch databases of this process: others may be making theirs."""

    async def look() -> set[str]:
        async with admin.connected() as connection:
            found = await connection.fetch(
                "SELECT datname FROM pg_database WHERE datname LIKE '%scratch%' AND strpos(datname, $1) > 0",
                f"_{worker_id}_",
            )
        return {row[0] for row in found}

    return look


def test_one_server_has_to_be_named(tmp_path: Path) -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://irontrack@a,b/irontrack"})
    environment = {"DATABASE_URL": settings.database.url}
    result = CliRunner().invoke(
        backup_command,
        [str(tmp_path / "backup.dump")],
        obj={"configs": [database_config(settings)]},
        env=environment,
    )
    assert result.exit_code == 1
    assert result.output == "Error: The URL names several servers: name the one that is meant.\n"
    assert os.listdir(tmp_path) == []


async def test_a_backup_is_restored_with_all_that_it_had(
    athlete: Actor, database: Database, make_database: MakeDatabase, admin: Place, tmp_path: Path, scratches: Scratches
) -> None:
    file = tmp_path / "backup.dump"
    rows = await back_up(Place.of(database.url), admin, file)
    assert rows["user_account"] >= 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert await scratches() == set()

    target = Place.of(await make_database())
    former = await restore(file, target, admin)
    try:
        async with target.connected() as connection:
            assert await connection.fetchval("SELECT count(*) FROM user_account") == rows["user_account"]
            assert await connection.fetchval("SELECT count(*) FROM exercises") == rows["exercises"]
    finally:
        async with admin.connected() as connection:
            await connection.execute(f'DROP DATABASE "{former}"')
    assert await scratches() == set()


async def test_a_backup_that_does_not_restore_to_the_same_is_not_kept(
    athlete: Actor,
    database: Database,
    admin: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scratches: Scratches,
) -> None:
    whole = backup._run

    async def leave_out(program: str, place: Place, *arguments: str) -> None:
        await whole(
            program, place, *arguments, *(("--exclude-table-data=user_session",) if program == "pg_dump" else ())
        )

    monkeypatch.setattr(backup, "_run", leave_out)
    with pytest.raises(BackupFailed, match="not what was dumped"):
        await back_up(Place.of(database.url), admin, tmp_path / "backup.dump")
    assert os.listdir(tmp_path) == []
    assert await scratches() == set()


async def test_what_is_no_backup_changes_nothing(
    make_database: MakeDatabase, admin: Place, tmp_path: Path, scratches: Scratches
) -> None:
    target = Place.of(await make_database())
    (tmp_path / "broken.dump").write_bytes(b"PGDMP" + os.urandom(100))
    with pytest.raises(BackupFailed, match="pg_restore"):
        await restore(tmp_path / "broken.dump", target, admin)
    empty = tmp_path / "empty.dump"
    await back_up(target, admin, empty)
    with pytest.raises(BackupFailed, match="no version"):
        await restore(empty, target, admin)
    assert await scratches() == set()


async def test_a_database_in_use_is_not_replaced(
    database: Database, make_database: MakeDatabase, admin: Place, tmp_path: Path, scratches: Scratches
) -> None:
    await back_up(Place.of(database.url), admin, tmp_path / "backup.dump")
    url = await make_database()
    user = await asyncpg.connect(driver_url(url))
    try:
        with pytest.raises(BackupFailed, match="in use by 1"):
            await restore(tmp_path / "backup.dump", Place.of(url), admin)
        assert await user.fetchval("SELECT 1") == 1
    finally:
        await user.close()
    assert await scratches() == set()
