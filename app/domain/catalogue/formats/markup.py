"""HTML as plain text."""

import re
from html.parser import HTMLParser
from typing import Final

__all__ = ("lines_of_html",)

_LINES: Final = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "h1", "h2", "h3", "h4"}
    | {"h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
_CELLS: Final = frozenset({"td", "th"})
_UNSEEN: Final = frozenset({"script", "style", "template"})

# The parser fails at marked sections that it does not know; without brackets they are comments to it.
_MARKED_SECTION: Final = re.compile(r"<!\[+")


def lines_of_html(html: str) -> list[str]:
    """Paragraphs and items of lists, each a line, without tags, entities, scripts and styles."""
    reader = _Reader()
    reader.feed(_MARKED_SECTION.sub("<!", html))
    reader.close()
    return [line for line in "".join(reader.parts).splitlines() if line.strip()]


class _Reader(HTMLParser):
    """Collects what a person would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        self._separate(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            # A line end in the source is a blank to the reader.
            self.parts.append(" ".join(data.splitlines()) + (" " if data.endswith("\n") else ""))

    def _separate(self, tag: str) -> None:
        if tag in _LINES:
            self.parts.append("\n")
        elif tag in _CELLS:
            self.parts.append(" ")
