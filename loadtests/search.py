"""What other people's exercises cost a search: ``python -m loadtests.search`` starts a PostgreSQL and measures.

Three databases have the whole catalogue. In the first one there is nothing else, in the second one a user has a hundred
exercises of their own, in the third one a thousand users have as many each. The same user lists and searches in all, in
turns. CPU is that of the backend, from /proc, as it is steady on a shared machine; the median of the rounds counts.
"""

import asyncio
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from app.db.paging import PageRequest
from app.domain.catalogue.dto import ExerciseFilters, ExerciseScope, ExerciseSort
from app.domain.catalogue.models import Category, DifficultyLevel
from app.domain.catalogue.services import ExerciseReader
from app.security.principal import Principal
from loadtests.processes import Worker
from tests.servers import TEMPLATE, TestPostgres, database_url, driver_url

MOST: Final = 2.0
"""How many times as much CPU anything may take in the third database as in the second, and all in the first."""

USER: Final = UUID(int=1)
EACH: Final = 100

SEARCHES: Final = {
    "plain list": ExerciseFilters(),
    "list by creation": ExerciseFilters(order_by=ExerciseSort.CREATED_AT, descending=True),
    "list of strength": ExerciseFilters(category=[Category.STRENGTH], difficulty_level=[DifficultyLevel.BEGINNER]),
    **{
        text: ExerciseFilters(search=text)
        for text in (
            "squat",
            "press",
            "bench press",
            "squat barbell",
            "lat pul",
            "OHP",
            "sqaut",
            "bech pres",
            "romainian deadlift",
            "incline dumbell bencg press",
            "seated cable row v grip",
            "zxqvjk",
        )
    },
    "curl, filtered": ExerciseFilters(search="curl", category=[Category.STRENGTH], equipment=[6]),
    "crul, mine": ExerciseFilters(search="crul", scope=ExerciseScope.USER),
}

# Names as people give them: a word or two of the catalogue, and what makes the exercise theirs.
CROWD: Final = """
    INSERT INTO user_account (id, email, password, role_id)
    SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'crowd-' || n || '@example.com', 'x', id
    FROM generate_series(1, $1::int) n, role WHERE slug = 'application-access';
    """
CUSTOM: Final = """
    INSERT INTO exercises (id, name, difficulty_level, category, created_by)
    SELECT gen_random_uuid(), left(s.name, 80) || ' ' || n, s.difficulty_level, s.category,
        ('00000000-0000-0000-0000-' || lpad(to_hex(owner), 12, '0'))::uuid
    FROM generate_series(1, $1::int) owner CROSS JOIN generate_series(1, $2::int) n
    JOIN (SELECT *, row_number() OVER (ORDER BY name) - 1 AS number, count(*) OVER () AS total
          FROM exercises WHERE is_system_default) s ON s.number = (owner * 7919 + n * 104729) % s.total
    """

ATHLETE: Final = Principal(
    user_id=USER,
    name=None,
    email="crowd-1@example.com",
    is_superuser=False,
    role_slug="application-access",
    timezone="UTC",
    weight_unit="kg",
    distance_unit="km",
    version=1,
)

console = Console(width=150, soft_wrap=True)


class Cost(Struct, frozen=True):
    """What one statement takes, in seconds: on the clock, and of the backend's CPU."""

    elapsed: float
    cpu: float


class Bench:
    """One of the databases, and the user's reader in it."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", backend: int) -> None:
        self._connection = connection
        self._backend = Worker(0, backend)
        self._reader = ExerciseReader(self._lend, "")
        self._sent: tuple[str, tuple[object, ...]] = ("", ())
        self.elapsed = 0.0

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[Any]:
        yield self

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Send the reader's statement, and take its time."""
        self._sent = statement, arguments
        begun = time.perf_counter()
        rows: list[asyncpg.Record] = await self._connection.fetch(statement, *arguments)
        self.elapsed += time.perf_counter() - begun
        return rows

    async def round(self, filters: ExerciseFilters, times: int) -> Cost:
        """The same page several times."""
        self.elapsed, cpu = 0.0, self._backend.cpu_seconds()
        for _ in range(times):
            await self._reader.browse(filters, PageRequest(), ATHLETE)
        return Cost(self.elapsed / times, (self._backend.cpu_seconds() - cpu) / times)

    async def scans(self, filters: ExerciseFilters) -> list[str]:
        """How exercises are read for it: what EXPLAIN says of tables and indexes of theirs."""
        await self._reader.browse(filters, PageRequest(), ATHLETE)
        statement, arguments = self._sent
        rows = await self._connection.fetch(f"EXPLAIN ANALYZE {statement}", *arguments)
        plan = [row[0].strip(" ->") for row in rows]
        run = {line.split("  (")[0] for line in plan if "never executed" not in line}
        return sorted(line for line in run if any(name in line for name in (" on exercises", "idx_ex_s", "user_exerc")))


async def measure(benches: list[Bench], rounds: int) -> bool:
    """Print what everything takes in all; whether it stays within the bounds."""
    table = Table("what", "CPU ms, first", "second", "third", "third / second", "third / first", "elapsed ms, third")
    medians, read = [], {}
    for name, filters in SEARCHES.items():
        for bench in benches:
            await bench.round(filters, 10)
        costs = [[await bench.round(filters, 10) for bench in benches] for _ in range(rounds)]
        cpu = [statistics.median(cost.cpu for cost in found) * 1000 for found in zip(*costs, strict=True)]
        elapsed = statistics.median(found[-1].elapsed for found in costs) * 1000
        medians.append(cpu)
        figures = (*cpu, cpu[2] / cpu[1], cpu[2] / cpu[0], elapsed)
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))
        read[name] = await benches[-1].scans(filters)
    console.print(table)
    first, second, third = (sum(column) for column in zip(*medians, strict=True))
    console.print(f"all of it: {first:.1f}, {second:.1f}, {third:.1f} ms; third / first: {third / first:.2f}")
    for name, scans in read.items():
        console.print(f"{name}: {'; '.join(scans)}")
    return (
        third <= MOST * first
        and all(cpu[2] <= MOST * cpu[1] for cpu in medians)
        and not any(scan.startswith("Seq Scan") for scans in read.values() for scan in scans)
    )


async def filled(postgres: TestPostgres, name: str, users: int) -> "asyncpg.Connection[asyncpg.Record]":
    """A copy of the catalogue, with so many users who have exercises of their own; VACUUM has seen it."""
    server = await asyncpg.connect(driver_url(postgres.superuser_url))
    await server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER irontrack")
    await server.close()
    connection = await asyncpg.connect(driver_url(database_url(postgres.owner_url, name)))
    await connection.execute(CROWD, max(users, 1))
    begun = time.perf_counter()
    await connection.execute(CUSTOM, users, EACH)
    if users > 1:
        console.print(f"{users * EACH:,} exercises in {time.perf_counter() - begun:.0f} s")
    await connection.execute("VACUUM ANALYZE")
    return connection


async def bench(postgres: TestPostgres, users: int, rounds: int) -> bool:
    """Fill the databases and measure; whether others cost little enough."""
    benches = []
    for name, crowd in (("nobody", 0), ("own", 1), ("crowd", users)):
        connection = await filled(postgres, name, crowd)
        benches.append(Bench(connection, await connection.fetchval("SELECT pg_backend_pid()")))
    return await measure(benches, rounds)


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000, help=f"who have {EACH} exercises each")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    postgres = TestPostgres.started()
    try:
        kept = asyncio.run(bench(postgres, options.users, options.rounds))
    finally:
        postgres.stop()
    if not kept:
        console.print(f"Others make something more than {MOST:.0f} times as dear, or a table is read from end to end.")
        sys.exit(1)


if __name__ == "__main__":
    main()
