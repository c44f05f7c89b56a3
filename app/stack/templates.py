"""The configuration of the stack's programs, rendered from one source for processes, containers and units."""

import os
from pathlib import Path
from typing import Any, Final

from mako.lookup import TemplateLookup

__all__ = ("TEMPLATES", "render", "write_private")

TEMPLATES: Final = Path(__file__).parents[2] / "infra" / "templates"

_lookup = TemplateLookup([str(TEMPLATES)], strict_undefined=True, input_encoding="utf-8")


def render(name: str, **values: Any) -> str:
    """A template of ``infra/templates`` with its values.

    Raises:
        NameError: the template needs a value that is missing.
    """
    return str(_lookup.get_template(name).render(**values))


def write_private(path: Path, text: str) -> bool:
    """Write a file that only its owner reads, whole or not at all; tell whether it is another one now."""
    if path.is_file() and path.read_text() == text:
        return False
    draft = path.with_name(f"{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
    return True
