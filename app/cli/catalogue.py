"""`litestar catalogue …`: the exercises that everybody sees."""

from pathlib import Path

import click
import msgspec

from app.cli.running import data_option, run_with_resources
from app.domain.catalogue.seed import SeedReport, seed_catalogue
from app.resources import Resources

__all__ = ("catalogue_group",)


@click.group("catalogue")
def catalogue_group() -> None:
    """Manage the catalogue of exercises."""


@catalogue_group.command("seed")
@data_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def seed(data: Path, as_json: bool) -> None:
    """Add the shipped exercises that are missing; what is there stays as it is."""

    async def work(resources: Resources) -> SeedReport:
        async with resources.transactions.begin() as session:
            return await seed_catalogue(session)

    report = run_with_resources(data, "litestar catalogue seed", work)
    click.echo(msgspec.json.encode(report).decode() if as_json else _sentence(report))


def _sentence(report: SeedReport) -> str:
    exercises = "exercise" if report.added == 1 else "exercises"
    refused = f" Their names are taken: {', '.join(report.refused)}." if report.refused else ""
    return f"Added {report.added} {exercises}, kept {report.kept}.{refused}"
