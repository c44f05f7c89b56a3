"""What the README says about the settings is what the settings are."""

import re
from enum import Enum
from pathlib import Path

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


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
