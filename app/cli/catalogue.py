"""`litestar catalogue …`: the exercises that everybody sees."""

from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from app.cli.running import data_option, run_with_resources
from app.domain.catalogue.export import export_catalogue
from app.domain.catalogue.files import write_catalogue
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
    """Bring the shipped exercises up to date; what an administrator has changed stays."""

    async def work(resources: Resources) -> SeedReport:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Seeding the catalogue", total=None)
            async with resources.transactions.begin() as session:
                return await seed_catalogue(
                    session, progress=lambda done, total: bar.update(task, completed=done, total=total)
                )

    report = run_with_resources(data, "litestar catalogue seed", work)
    click.echo(msgspec.json.encode(report).decode() if as_json else "\n".join(_sentences(report)))


@catalogue_group.command("export")
@data_option
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(data: Path, folder: Path) -> None:
    """Write the system's exercises to FOLDER, in the format of the shipped files.

    FOLDER is new, empty, or holds such files already, which are replaced.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "reference.toml").exists():
        raise click.ClickException(f"{folder} holds something else; name a new or an empty folder.")

    async def work(resources: Resources) -> int:
        async with resources.transactions.begin() as session:
            catalogue = await export_catalogue(session)
        write_catalogue(folder, catalogue)
        return sum(len(exercises) for exercises in catalogue.exercises.values())

    count = run_with_resources(data, "litestar catalogue export", work)
    click.echo(f"Wrote {_exercises(count)} to {folder}.")


def _sentences(report: SeedReport) -> list[str]:
    lines = [
        f"Added {_exercises(len(report.added))}, updated {len(report.updated)}, left {report.unchanged} as they were."
    ]
    if report.edited:
        lines.append("Changed by an administrator, and kept:")
        lines += [f"  {key}: {', '.join(fields)}" for key, fields in report.edited.items()]
    for sentence, keys in (
        ("Deleted by an administrator, and not added again", report.deleted),
        ("Not stored, because another exercise has the name, or no muscle of theirs is left", report.refused),
        ("No longer shipped, and kept", report.retired),
    ):
        if keys:
            lines.append(f"{sentence}: {', '.join(keys)}.")
    return lines


def _exercises(count: int) -> str:
    return "1 exercise" if count == 1 else f"{count:,} exercises"
