"""`litestar catalogue …`: the exercises that everybody sees."""

import asyncio
from pathlib import Path

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from app.cli.running import data_option, running
from app.db.base import Base
from app.db.engine import database_config
from app.db.errors import translate
from app.domain.catalogue.seed import SeedReport, seed_catalogue
from app.settings import Settings

__all__ = ("catalogue_group",)


@click.group("catalogue")
def catalogue_group() -> None:
    """Manage the catalogue of exercises."""


@catalogue_group.command("seed")
@data_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def seed(data: Path, as_json: bool) -> None:
    """Add the shipped exercises that are missing; what is there stays as it is."""
    with running(data, "litestar catalogue seed") as settings:
        try:
            report = asyncio.run(_seed(settings))
        except (SQLAlchemyError, OSError) as error:
            raise click.ClickException(str(translate(error, Base.metadata) or error)) from None
    click.echo(msgspec.json.encode(report).decode() if as_json else _sentence(report))


async def _seed(settings: Settings) -> SeedReport:
    config = database_config(settings)
    try:
        async with config.create_session_maker()() as session, session.begin():
            return await seed_catalogue(session)
    finally:
        await config.get_engine().dispose()


def _sentence(report: SeedReport) -> str:
    refused = f" Their names are taken: {', '.join(report.refused)}." if report.refused else ""
    return f"Added {report.added} exercises, kept {report.kept}.{refused}"
