"""Pictures of the muscles that an exercise works: the figure in ``data/body.svg``, with regions marked."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Final
from xml.etree import ElementTree as ET

from asyncpg import Connection
from msgspec import Struct

from app.domain.catalogue.dto import Entry, Exercise
from app.domain.catalogue.files import SHIPPED
from app.domain.catalogue.memory import CatalogueMemory
from app.domain.catalogue.models import SeedKind, SeedRecord

__all__ = ("CONTENT_POLICY", "Muscle", "MusclePicture", "MusclePictures", "draw")

_SVG: Final = "http://www.w3.org/2000/svg"
_FIGURE: Final = (SHIPPED / "body.svg").read_text("utf-8")
_DESCRIPTION: Final = f".//{{{_SVG}}}desc"
_STYLE: Final = f".//{{{_SVG}}}style"
_REGION: Final = "data-muscle"
_KEPT: Final = 500
"""Pictures that a worker keeps: those of the sets of muscles that are asked for most, 6 MB at the most."""

# What may stand in a line of text, but not in XML 1.0.
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ET.register_namespace("", _SVG)


def _content_policy() -> str:
    style = ET.fromstring(_FIGURE).findtext(_STYLE, "")  # noqa: S314 (our own file)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


CONTENT_POLICY: Final = _content_policy()
"""What a browser that opens a picture by itself may apply: the picture's own style, and nothing else."""

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection for one statement."""


class Muscle(Struct, frozen=True):
    """A muscle group as a picture shows it.

    Attributes:
        name: what it is called here.
        region: what it was shipped as, which names its region of the figure; None for one that was added here.
    """

    name: str
    region: str | None


Muscles = tuple[Muscle, ...]


class MusclePicture(Struct, frozen=True):
    """A picture.

    Attributes:
        digest: what tells this content from all others.
    """

    svg: bytes
    digest: str


@lru_cache(_KEPT)
def draw(primary: Muscles, secondary: Muscles) -> MusclePicture:
    """Mark the regions of muscles, and say in words which they are.

    A muscle without a region is named in the words alone.
    """
    figure = ET.fromstring(_FIGURE)  # noqa: S314 (our own file)
    classes = {muscle.region: "secondary" for muscle in secondary} | {muscle.region: "primary" for muscle in primary}
    for region in figure.iterfind(f".//*[@{_REGION}]"):
        if mark := classes.get(region.get(_REGION)):
            region.set("class", mark)
    for description in figure.iterfind(_DESCRIPTION):
        description.text = _in_words(primary, secondary)
    svg = ET.tostring(figure)
    return MusclePicture(svg, hashlib.sha256(svg).hexdigest()[:32])


def _in_words(primary: Muscles, secondary: Muscles) -> str:
    parts = [
        f"{kind}: {', '.join(muscle.name for muscle in muscles)}."
        for kind, muscles in (("Primary", primary), ("Secondary", secondary))
        if muscles
    ]
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", " ".join(parts) or "None.")


class MusclePictures:
    """Draws what exercises work, whatever their muscle groups are called by now."""

    def __init__(self, connect: Connect, memory: CatalogueMemory) -> None:
        self._connect = connect
        self._memory = memory

    async def of(self, exercise: Exercise) -> MusclePicture:
        """The picture of an exercise."""
        regions = await self._regions()

        def muscles(entries: Iterable[Entry]) -> Muscles:
            return tuple(Muscle(entry.name, regions.get(entry.id)) for entry in entries)

        return draw(muscles(exercise.primary_muscles), muscles(exercise.secondary_muscles))

    async def _regions(self) -> dict[int, str]:
        """What the rows of the list were shipped as."""
        known: dict[int, str] | None = self._memory.recall(_REGIONS)
        if known is not None:
            return known
        moment = self._memory.moment
        async with self._connect() as connection:
            rows = await connection.fetch(_SHIPPED_AS, SeedKind.MUSCLE_GROUPS)
        loaded = {row["id"]: row["key"] for row in rows}
        self._memory.remember(_REGIONS, loaded, moment)
        return loaded


_REGIONS: Final = (SeedRecord.__tablename__, SeedKind.MUSCLE_GROUPS)

_SHIPPED_AS: Final = "SELECT content::int AS id, key FROM catalogue_seed WHERE kind = $1"
