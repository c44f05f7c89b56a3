"""What a long history of runs costs: ``python -m loadtests.runs`` fills a database and compares two runners in it.

One has 50,000 runs of twenty years, the other one 50 of the last year. Both ask for their summary, by the code that
serves it: what it costs the server and the client in CPU (from /proc; medians of rounds, in turns), and how many
buffers its statements touch. Both have an active plan to which all their runs belong. Further users run among them.
"""

import asyncio
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.connection import LoggedQuery
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from app.db.reader import Reader
from app.domain.analytics.services import AnalyticsReader
from app.security.principal import Principal
from app.settings import load_settings
from loadtests.people import Connection
from tests.servers import TEMPLATE, TestPostgres, database_url, driver_url

MANY, FEW = UUID(int=1), UUID(int=2)
OTHERS: Final = 50
ROUNDS, REPEATS = 9, 40
MOST: Final = 1.5
"""How many times as much the summary of many runs may cost."""

TODAY: Final = datetime.now(UTC).date()
PERIODS: Final[dict[str, tuple[date | None, date | None]]] = {
    "of everything": (None, None),
    "of a year": (TODAY - timedelta(days=364), TODAY),
    "of twenty years": (TODAY - timedelta(days=20 * 365), TODAY),
}

USERS: Final = """
INSERT INTO user_account (id, email, password, role_id)
SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, 'runner-' || n || '@example.com', 'x', id
FROM generate_series(1, $1::int) n, role WHERE slug = 'application-access'
"""
PLANS: Final = """
INSERT INTO running_plans (id, user_id, name, start_date, end_date, status)
SELECT id, id, 'p', current_date - 100, current_date + 100, 'active' FROM user_account
"""
WORKOUTS: Final = """
INSERT INTO running_workouts (id, plan_id, name, workout_type, planned_distance_km, scheduled_date)
SELECT gen_random_uuid(), p.id, 'w', 'easy', 10, p.start_date + n FROM running_plans p, generate_series(0, 100) n
"""
RUNS: Final = """
INSERT INTO runs (id, user_id, plan_id, started_at, user_timezone, distance_km, duration_seconds)
SELECT gen_random_uuid(), $1, $1, now() - n * $3::interval, 'UTC', 1 + n % 45, (1 + n % 45) * (300 + n % 60)
FROM generate_series(0, $2::int - 1) n
"""

console = Console(width=150, soft_wrap=True)


class Cost(Struct, frozen=True):
    """What a summary costs: seconds of CPU of the server and of who asks, and buffers."""

    server: float
    client: float
    buffers: int


class Runner:
    """A user who asks for their summary, on a connection of their own."""

    def __init__(self, reader: Reader, connection: Connection, user: UUID) -> None:
        self._analytics = AnalyticsReader(reader)
        self._connection = connection
        self._process = Path(f"/proc/{connection.get_server_pid()}/schedstat")
        self._principal = Principal(
            user_id=user,
            name=None,
            email="",
            is_superuser=False,
            role_slug="application-access",
            timezone="UTC",
            weight_unit="kg",
            distance_unit="km",
            version=1,
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, user: UUID) -> AsyncIterator[Self]:
        """Connected, until the block ends."""
        settings = load_settings({"DATABASE_URL": url, "MAX_POOL_SIZE": "2"})
        async with Reader.opened(settings) as reader:
            async with reader.connection() as connection:
                kept = connection
            yield cls(reader, kept, user)

    async def ask(self, period: str) -> bytes:
        """The summary, as it goes out."""
        since, until = PERIODS[period]
        return msgspec.json.encode(await self._analytics.summary(self._principal, TODAY, since, until))

    async def spend(self, period: str) -> tuple[float, float]:
        """CPU seconds of one summary, of the server and of this process."""
        server, client = self._server_seconds(), time.process_time()
        for _ in range(REPEATS):
            await self.ask(period)
        return (self._server_seconds() - server) / REPEATS, (time.process_time() - client) / REPEATS

    async def buffers(self, period: str) -> int:
        """Buffers that the statements of one summary touch."""
        sent: list[LoggedQuery] = []
        self._connection.add_query_logger(sent.append)
        await self.ask(period)
        # Loggers are called when the loop comes to them.
        await asyncio.sleep(0)
        self._connection.remove_query_logger(sent.append)
        touched = 0
        for query in sent:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.query}"
            [plan] = msgspec.json.decode(await self._connection.fetchval(explain, *query.args))
            touched += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        return touched

    def _server_seconds(self) -> float:
        return int(self._process.read_text().split()[0]) / 1e9


async def fill(url: str, runs: int, *, plans: bool) -> None:
    """Make the runners and what they ran; the sums follow by themselves."""
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute(USERS, OTHERS + 2)
    await connection.execute(PLANS if plans else PLANS.replace("'active'", "'draft'"))
    await connection.execute(WORKOUTS)
    begun = time.perf_counter()
    await connection.execute(RUNS, MANY, runs, timedelta(days=20 * 365) / runs)
    console.print(f"{runs:,} runs stored and added up in {time.perf_counter() - begun:.1f} s")
    await connection.execute(RUNS, FEW, 50, timedelta(days=7))
    for number in range(OTHERS):
        await connection.execute(RUNS, UUID(int=3 + number), 500, timedelta(days=2))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def compare(many: Runner, few: Runner) -> list[tuple[str, Cost, Cost]]:
    """What each summary costs both."""
    found = []
    for period in PERIODS:
        rounds: dict[Runner, list[tuple[float, float]]] = {many: [], few: []}
        for runner in (many, few) * ROUNDS:
            rounds[runner].append(await runner.spend(period))
        costs = []
        for runner in (many, few):
            server, client = (statistics.median(column) for column in zip(*rounds[runner], strict=True))
            costs.append(Cost(server, client, await runner.buffers(period)))
        found.append((period, costs[0], costs[1]))
    return found


async def bench(postgres: TestPostgres, runs: int, *, plans: bool) -> bool:
    """Fill and measure; whether many runs cost little enough."""
    server = await asyncpg.connect(driver_url(postgres.superuser_url))
    await server.execute(f"CREATE DATABASE runners TEMPLATE {TEMPLATE} OWNER irontrack")
    await server.close()
    url = database_url(postgres.owner_url, "runners")
    await fill(url, runs, plans=plans)
    table = Table("summary", "", "server ms", "client ms", "buffers")
    good = True
    async with Runner.opened(url, MANY) as many, Runner.opened(url, FEW) as few:
        for period, long, short in await compare(many, few):
            ratios = [_ratio(long, short, name) for name in ("server", "client", "buffers")]
            # Of a period there are more weeks to touch; what that costs is CPU.
            good = good and all(ratio <= MOST for ratio in (ratios if period == "of everything" else ratios[:2]))
            for name, cost in ((f"{runs:,} runs", long), ("50 runs", short)):
                table.add_row(period, name, f"{cost.server * 1e3:.2f}", f"{cost.client * 1e3:.2f}", str(cost.buffers))
            table.add_row("", "ratio", *(f"{ratio:.2f}" for ratio in ratios))
    console.print(table)
    return good


def _ratio(long: Cost, short: Cost, name: str) -> float:
    values: tuple[Any, Any] = getattr(long, name), getattr(short, name)
    return float(values[0] / values[1])


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--no-plans", dest="plans", action="store_false", help="the plans are drafts, and not shown")
    options = parser.parse_args()
    postgres = TestPostgres.started()
    try:
        good = asyncio.run(bench(postgres, options.runs, plans=options.plans))
    finally:
        postgres.stop()
    if not good:
        console.print(f"The summary of many runs costs more than {MOST} times that of few.")
        sys.exit(1)


if __name__ == "__main__":
    main()
