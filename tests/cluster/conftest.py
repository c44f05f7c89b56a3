"""What the tests of several machines share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.cli.setup import prepare_database
from app.settings import load_settings
from tests.cluster.postgres import PostgresNode, data_folder, replicated

Pair = tuple[PostgresNode, PostgresNode]


@pytest.fixture(scope="session")
async def template() -> AsyncIterator[Path]:
    """The data folder of a PostgreSQL with the schema and the catalogue, to copy; the server has ended."""
    with TemporaryDirectory(prefix="irontrack-test-") as name:
        folder = data_folder(Path(name, "template"))
        node = PostgresNode(folder, fsync="off")
        await node.server.start()
        await asyncio.to_thread(prepare_database, load_settings({"DATABASE_URL": node.url}), lambda _: None)
        await node.server.stop()
        yield folder


@pytest.fixture
async def pair(template: Path) -> AsyncIterator[Pair]:
    """A primary and its streaming standby."""
    with TemporaryDirectory(prefix="irontrack-test-") as name:
        async with replicated(template, Path(name)) as nodes:
            yield nodes
