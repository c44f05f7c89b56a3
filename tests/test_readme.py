"""What the README says about the settings is what the settings are."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import click

from app.cli.commands import register
from app.settings import Variable, variables

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(<!-- settings -->\n).*?(\n<!-- /settings -->)", re.DOTALL)


def default(variable: Variable) -> str:
    """A default as it would be written in the environment."""
    value = variable.default
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, Enum):
        text = str(value.value)
    else:
        text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"`{text}`" if text else ""


def table() -> str:
    """The settings as a table of Markdown."""
    rows = [f"| `{variable.name}` | {default(variable)} | {variable.description} |" for variable in variables()]
    return "\n".join(["| Variable | Default | What it is |", "|---|---|---|", *rows])


def with_table(text: str) -> str:
    """The README with the table as it has to be."""
    return PLACE.sub(lambda place: f"{place[1]}{table()}{place[2]}", text)


def test_names_every_variable_with_its_default() -> None:
    text = README.read_text("utf-8")
    assert PLACE.search(text)
    assert text == with_table(text), "`just readme` writes it"


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    """Every command, as it is typed."""
    for name, command in group.commands.items():
        yield f"{prefix}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


def test_names_commands_that_exist() -> None:
    cli = click.Group("litestar")
    register(cli)
    known = set(commands(cli))
    section = README.read_text("utf-8").partition("## Command line")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE):
        named = [name.removeprefix("litestar ").strip() for name in re.findall(r"`([a-z]+(?:[ -][a-z]+)*)", row)]
        group = named[0].split()[0]
        assert all(name in known or f"{group} {name}" in known for name in named), row


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
