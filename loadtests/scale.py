"""What a long history costs among many: ``python -m loadtests.scale`` fills two databases and compares them.

One holds a town of lifters, the other one the same first user alone. What this user reads is sent to both, by the code
that serves it: how many buffers each statement touches, what it costs the server in CPU (of its process, from /proc),
and whether it reads a large table from end to end. Plans are those of a connection that has been open for a while.
"""

import asyncio
import logging
import statistics
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg
import msgspec
import structlog
from asyncpg import Record
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.db.reader import Reader
from app.domain.catalogue.services import ExerciseReader
from app.domain.history.dto import SessionFilters
from app.domain.history.services import SessionReader
from app.domain.history.statistics import StatisticsReader
from app.domain.sync.services import ChangeReader
from app.security.principal import Principal
from app.settings import load_settings
from loadtests.people import Connection, Town, fill
from tests.servers import TEMPLATE, TestPostgres, database_url, driver_url

ROUNDS = 7
REPEATS = 40
MOST = 1.5
"""What the town may cost, compared with the user alone."""
FEW = 32
"""Buffers of a request that finds nothing: only the depths of the indexes are left to compare."""
QUARTER = timedelta(days=91)
LARGE = 10_000
"""Rows of a table that must not be read from end to end."""
EVERYBODY, ALONE = "everybody", "alone"

console = Console(width=150, soft_wrap=True)

Ask = Callable[[], Awaitable[object]]


class Recorder(Reader):
    """A reader that remembers what it sent last."""

    sent: tuple[str, tuple[object, ...]] = ("", ())

    async def fetch(self, statement: str, *arguments: object) -> list[Record]:
        """All rows."""
        self.sent = statement, arguments
        return await super().fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: object) -> Record | None:
        """The first row, if there is any."""
        self.sent = statement, arguments
        return await super().fetchrow(statement, *arguments)


class Service:
    """What serves the user from one database, on one connection.

    Attributes:
        principal: the user.
    """

    def __init__(self, reader: Recorder, process: Path, user: UUID) -> None:
        self.reader = reader
        self.sessions = SessionReader(reader)
        self.statistics = StatisticsReader(reader)
        self.changes = ChangeReader(reader, ExerciseReader(reader.connection, ""))
        self.principal = Principal(
            user_id=user,
            name=None,
            email="",
            is_superuser=False,
            role_slug="application-access",
            timezone="Europe/Berlin",
            weight_unit="kg",
            distance_unit="km",
            version=1,
        )
        self._process = process

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, user: UUID) -> AsyncIterator[Self]:
        """Connected, until the block ends."""
        settings = load_settings({"DATABASE_URL": url, "MAX_POOL_SIZE": "2"})
        async with Recorder.opened(settings) as reader:
            async with reader.connection() as connection:
                process = Path(f"/proc/{connection.get_server_pid()}")
            yield cls(reader, process, user)

    def cpu_seconds(self) -> float:
        """CPU time of the server's process for this connection so far."""
        return int((self._process / "schedstat").read_text().split()[0]) / 1e9


class Cost(Struct, frozen=True):
    """What a statement costs one database.

    Attributes:
        cpu: seconds of the server.
        scanned: large tables that it reads from end to end.
        plan: as EXPLAIN tells it.
    """

    buffers: int
    cpu: float
    scanned: list[str]
    plan: str


class Comparison(Struct, frozen=True):
    """A request, and what it costs in both databases."""

    name: str
    everybody: Cost
    alone: Cost

    @property
    def buffers(self) -> float:
        """Buffers among many, for each of the user alone."""
        return self.everybody.buffers / self.alone.buffers

    @property
    def cpu(self) -> float:
        """CPU among many, for each second of the user alone."""
        return self.everybody.cpu / self.alone.cpu

    @property
    def is_good(self) -> bool:
        """Whether it costs no more than it may."""
        is_small = self.everybody.buffers <= FEW
        return (is_small or self.buffers <= MOST) and self.cpu <= MOST and not self.everybody.scanned


async def requests(service: Service) -> dict[str, Ask]:
    """What is asked, by its name."""
    sessions, changes, sums, principal = service.sessions, service.changes, service.statistics, service.principal
    nothing = SessionFilters()
    pages = [await sessions.find(principal, nothing, None, 100)]
    while pages[-1].next_cursor:
        pages.append(await sessions.find(principal, nothing, pages[-1].next_cursor, 100))
    parts = [await changes.find(principal, None, 100)]
    while parts[-1].has_more:
        parts.append(await changes.find(principal, parts[-1].next_cursor, 100))
    newest, before, *_ = pages[0].items
    deep, half, end = pages[-3].next_cursor, parts[len(parts) // 2].next_cursor, parts[-1].next_cursor
    return {
        "sessions, first page": lambda: sessions.find(principal, nothing, None, 20),
        "sessions, deep page": lambda: sessions.find(principal, nothing, deep, 20),
        "session": lambda: sessions.read(before.id, principal),
        "last time": lambda: sessions.previous(before.id, principal),
        "last time, one thing new": lambda: sessions.previous(newest.id, principal),
        "statistics, a quarter": lambda: sums.add_up(principal, newest.local_date - QUARTER, newest.local_date),
        "sync, from the beginning": lambda: changes.find(principal, None, 100),
        "sync, half way": lambda: changes.find(principal, half, 100),
        "sync, nothing new": lambda: changes.find(principal, end, 100),
    }


async def spend(service: Service, ask: Ask) -> float:
    """CPU seconds of the server for one request: the mean of many."""
    before = service.cpu_seconds()
    for _ in range(REPEATS):
        await ask()
    return (service.cpu_seconds() - before) / REPEATS


async def explain(service: Service, ask: Ask, large: set[str]) -> tuple[int, list[str], str]:
    """Buffers, large tables that are read from end to end, and the plan of what a request sends."""
    await ask()
    statement, arguments = service.reader.sent
    async with service.reader.connection() as connection:
        execute = f"EXECUTE probe ({', '.join(map(literal, arguments))})"
        await connection.execute(f"PREPARE probe AS {statement}")
        for _ in range(6):
            # Then PostgreSQL has decided whether to plan for these values, or for any.
            await connection.execute(execute)
        encoded = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}")
        told = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {execute}")
        await connection.execute("DEALLOCATE probe")
    plan = msgspec.json.decode(encoded)[0]["Plan"]
    scanned = sorted(
        {
            node["Relation Name"]
            for node in nodes(plan)
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in large
        }
    )
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], scanned, "\n".join(row[0] for row in told)


def literal(value: object) -> str:
    """A value as SQL writes it."""
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and all that is below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def compare(everybody: Service, alone: Service) -> list[Comparison]:
    """Every request, on both databases in turns."""
    async with everybody.reader.connection() as connection:
        rows = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= $1", LARGE)
    large = {row[0] for row in rows}
    asked = [(service, await requests(service)) for service in (everybody, alone)]
    compared = []
    for name in asked[0][1]:
        costs: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for (service, asks), spent in zip(asked, costs, strict=True):
                spent.append(await spend(service, asks[name]))
        explained = [await explain(service, asks[name], large) for service, asks in asked]
        both = [
            Cost(buffers, statistics.median(spent), scanned, plan)
            for (buffers, scanned, plan), spent in zip(explained, costs, strict=True)
        ]
        compared.append(Comparison(name, *both))
    return compared


def show(comparisons: list[Comparison], *, plans: bool) -> None:
    """Print the table, and the plans if they are wanted."""
    table = Table("request", "buffers", "alone", "ratio", "CPU µs", "alone", "ratio", "large tables scanned")
    for row in comparisons:
        table.add_row(
            row.name,
            f"{row.everybody.buffers:,}",
            f"{row.alone.buffers:,}",
            f"{row.buffers:.2f}",
            f"{row.everybody.cpu * 1e6:,.0f}",
            f"{row.alone.cpu * 1e6:,.0f}",
            f"{row.cpu:.2f}",
            ", ".join(row.everybody.scanned) or "none",
        )
    if plans:
        for row in comparisons:
            console.print(f"\n{row.name}\n{row.everybody.plan}", markup=False, highlight=False)
    console.print(table)


async def build(server: TestPostgres, town: Town) -> UUID:
    """Make both databases and fill them; the first user."""
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(driver_url(server.superuser_url))
        stack.push_async_callback(owner.close)
        connections: list[Connection] = []
        for name in (EVERYBODY, ALONE):
            await owner.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER irontrack")
            connections.append(await asyncpg.connect(driver_url(database_url(server.superuser_url, name))))
            stack.push_async_callback(connections[-1].close)
        everybody, alone = connections
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("sets", total=town.sets)
            return await fill(everybody, alone, town, lambda sets: progress.advance(task, sets))


async def measure(server: TestPostgres, town: Town) -> list[Comparison]:
    """Fill both databases and compare them."""
    user = await build(server, town)
    async with (
        Service.opened(database_url(server.owner_url, EVERYBODY), user) as everybody,
        Service.opened(database_url(server.owner_url, ALONE), user) as alone,
    ):
        return await compare(everybody, alone)


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--sessions", type=int, default=200_000, help="of all users")
    parser.add_argument("--own", type=int, default=3_000, help="sessions of the user who is measured")
    parser.add_argument("--sets", type=int, default=5_000_000, help="in all sessions")
    parser.add_argument("--plans", action="store_true", help="print the plans too")
    options = parser.parse_args()
    town = Town(users=options.users, sessions=options.sessions, own=options.own, sets=options.sets)
    # The user's longest statements are slow, and there are thousands of them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    server = TestPostgres.started()
    try:
        comparisons = asyncio.run(measure(server, town))
    finally:
        server.stop()
    show(comparisons, plans=options.plans)
    if not all(row.is_good for row in comparisons):
        console.print(f"Something costs more than {MOST} times, or reads a large table from end to end.")
        sys.exit(1)


if __name__ == "__main__":
    main()
