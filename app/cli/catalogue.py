"""`litestar catalogue …`: the exercises that everybody sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from app.cli.running import data_option, run_with_resources
from app.domain.catalogue.formats.entries import Finding, Listing
from app.domain.catalogue.formats.reading import ListingError, read_listing_file
from app.domain.catalogue.importing import ImportReport, carry_out, plan_import
from app.domain.catalogue.merge import Progress as Steps
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
        with _bar("Seeding the catalogue") as steps:
            async with resources.transactions.begin() as session:
                return await seed_catalogue(session, progress=steps)

    report = run_with_resources(data, "litestar catalogue seed", work)
    click.echo(msgspec.json.encode(report).decode() if as_json else "\n".join(_sentences(report)))


@catalogue_group.command("export")
@data_option
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(data: Path, folder: Path) -> None:
    """Write the system's exercises to FOLDER, in the format of the shipped files.

    FOLDER is new, empty, or holds such files already, which are replaced.
    """
    # Only here, because the writer of TOML would cost every command a tenth of its start.
    from app.domain.catalogue.export import export_catalogue, write_catalogue  # noqa: PLC0415

    if folder.exists() and any(folder.iterdir()) and not (folder / "reference.toml").exists():
        raise click.ClickException(f"{folder} holds something else; name a new or an empty folder.")

    async def work(resources: Resources) -> int:
        async with resources.transactions.begin() as session:
            catalogue = await export_catalogue(session)
        write_catalogue(folder, catalogue)
        return sum(len(exercises) for exercises in catalogue.exercises.values())

    count = run_with_resources(data, "litestar catalogue export", work)
    click.echo(f"Wrote {_exercises(count)} to {folder}.")


@catalogue_group.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--language", default="en", show_default=True, help="Of wger's texts: a code, or the number that wger has for it."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def import_list(file: Path, data: Path, language: str, dry_run: bool, as_json: bool) -> None:
    """Add the exercises of a public list; what an administrator has changed stays.

    FILE is the exercises.json of free-exercise-db, or a page (or an array of pages) of wger's exerciseinfo. Importing
    it again, or a later version of it, updates what it has changed.
    """
    listing = _read(file, language)

    async def work(resources: Resources) -> ImportReport:
        with _bar("Importing exercises") as steps:
            async with resources.transactions.begin() as session:
                plan = await plan_import(session, listing)
                if not dry_run:
                    await carry_out(session, plan, steps)
                return plan.report

    report = run_with_resources(data, "litestar catalogue import", work)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        click.echo("\n".join([*_import_sentences(report), *(["Nothing is written: a dry run."] if dry_run else [])]))


def _read(file: Path, language: str) -> Listing:
    try:
        return read_listing_file(file, language)
    except ListingError as error:
        raise click.ClickException(f"{file}: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from None


@contextmanager
def _bar(title: str) -> Iterator[Steps]:
    """A bar on the terminal, as long as the block lasts."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _import_sentences(report: ImportReport) -> list[str]:
    counts = ", ".join(
        f"{len(findings):,} {word}"
        for word, findings in (
            ("new", report.new),
            ("changed", report.changed),
            ("equal", report.equal),
            ("rejected", report.rejected),
        )
    )
    lines = [f"{report.source}: {counts}."]
    for title, findings, separator in (
        ("New", report.new, ""),
        ("Changed", report.changed, ", "),
        ("Changed by an administrator, and kept", report.edited, ", "),
        ("Deleted by an administrator, and not added again", report.deleted, ""),
        ("Rejected", report.rejected, " "),
        ("Notes", report.notes, " "),
    ):
        if findings:
            lines += [f"{title}:", *(_line(finding, separator) for finding in findings)]
    if report.absent:
        lines.append(f"Imported earlier, not in this file, and kept: {_exercises(report.absent)}.")
    return lines


def _line(finding: Finding, separator: str) -> str:
    label = f"  {finding.key} {finding.name}".rstrip()
    return f"{label}: {separator.join(finding.details)}" if finding.details else label


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
