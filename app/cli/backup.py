"""`litestar database backup` and `restore`."""

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from app.db.backup import BackupFailed, Place, back_up, restore
from app.embedded import DataFolder, EmbeddedPostgres

__all__ = ("backup_command", "restore_command")

_admin_option = click.option(
    "--admin-url",
    envvar="DATABASE_ADMIN_URL",
    default="",
    help="PostgreSQL as a role that may make databases; else the embedded server's superuser, or DATABASE_URL's role.",
)


def _places(context: click.Context, admin_url: str) -> tuple[Place, Place]:
    obj: dict[str, Any] = context.obj
    url = str(obj["configs"][0].connection_string)
    if not admin_url and not os.environ.get("DATABASE_URL") and context.parent is not None:
        admin_url = EmbeddedPostgres(DataFolder(context.parent.params["data"]).path).superuser_url
    try:
        return Place.of(url), Place.of(admin_url or url).other("postgres")
    except BackupFailed as error:
        raise click.ClickException(str(error)) from None


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_admin_option
@click.pass_context
def backup_command(context: click.Context, file: Path, admin_url: str) -> None:
    """Dump the database into FILE (pg_restore's custom format), verified by restoring it into a scratch database."""
    place, admin = _places(context, admin_url)
    try:
        rows = asyncio.run(back_up(place, admin, file))
    except BackupFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{file}: {sum(rows.values())} rows of {len(rows)} tables, {file.stat().st_size} bytes, verified.")


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Don't ask.")
@_admin_option
@click.pass_context
def restore_command(context: click.Context, file: Path, admin_url: str, *, yes: bool) -> None:
    """Put the backup FILE in the place of the database, which is kept under another name."""
    place, admin = _places(context, admin_url)
    if not yes:
        click.confirm(f"Replace the database {place.database} with {file}?", abort=True)
    try:
        former = asyncio.run(restore(file, place, admin))
    except BackupFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Restored {file}. What was there is the database {former} now: drop it when you need it no more.")
