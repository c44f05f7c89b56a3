"""Each part is killed again and again under load: what was acknowledged stays, and the service comes back by itself.

`just kills` goes on for longer, and tells what it saw.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.embedded import EmbeddedPostgres
from tests.cli.up import Process
from tests.servers import database_url, driver_url
from tests.stack.ledger import Ledger, Load
from tests.stack.programs import need
from tests.stack.running import SLOW, Person, Stack, running_stack
from tests.waiting import eventually

pytestmark = [pytest.mark.timeout(3600)]

Look = Callable[[], int | None]
"""The process that does something now."""

KILLS = int(os.environ.get("KILLS", "20"))
"""Of each part but the nodes, which take seconds to start."""
_OF_NODES = KILLS if "KILLS" in os.environ else 6
_RESTARTS = max(2, KILLS // 10)
"""Of what takes seconds to start."""
_AWAY_FOR_AT_MOST = 10.0
_NODES = ("Node 0", "Node 1")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all tests of this file."""
    need("nginx", "pgbouncer")
    variables = {"RATE_LIMIT_READS": "0", "RATE_LIMIT_SIGN_IN": "0"}
    with (
        TemporaryDirectory(prefix="irontrack-test-") as folder,
        running_stack(Path(folder) / "d", "--server-connections", "10", **variables) as running,
    ):
        yield running


@asynccontextmanager
async def load(stack: Stack, name: str) -> AsyncIterator[Load]:
    """Clients at work, whose ledger is compared with the rows when the block ends."""
    began = time.monotonic()
    async with Load(stack) as at_work:
        yield at_work
    ledger = at_work.ledger
    await ledger.verify(driver_url(database_url(EmbeddedPostgres(stack.data).superuser_url, "irontrack")))
    assert stack.status()["well"] is True
    tell(f"{name}, {time.monotonic() - began:.0f} s: {ledger}")


def tell(sentence: str) -> None:
    """For who runs this by hand."""
    print(f"\n{sentence}")  # noqa: T201


async def send(load: Load, number: signal.Signals, processes: Sequence[Look], times: int) -> None:
    """Send a signal to each in turn, and to a further one as soon as a write succeeds again.

    A process that a signal ended has to be another one before its turn comes again.
    """
    ends = number != signal.SIGHUP
    ended: dict[Look, int] = {}
    for look in islice(cycle(processes), times):
        await eventually(lambda look=look: look() not in (None, ended.get(look)), SLOW)  # type: ignore[misc]
        pid = look()
        assert pid is not None
        if ends:
            ended[look] = pid
        load.ledger.broken.append(time.monotonic())
        os.kill(pid, number)
        await load.works()
    for look, pid in ended.items():
        await eventually(lambda look=look, pid=pid: look() not in (None, pid), SLOW)  # type: ignore[misc]


def assert_away_for_a_moment(ledger: Ledger) -> None:
    """Whatever failed did so within seconds."""
    assert max(ledger.outages, default=0.0) < _AWAY_FOR_AT_MOST


@pytest.mark.parametrize("name", ["PgBouncer", "PostgreSQL"])
async def test_a_killed_database_loses_nothing_that_was_acknowledged(stack: Stack, name: str) -> None:
    async with load(stack, name) as at_work:
        await send(at_work, signal.SIGKILL, [partial(stack.part, name)], KILLS)
    assert at_work.ledger.cut == []
    assert_away_for_a_moment(at_work.ledger)


async def test_a_killed_proxy_is_back_at_once(stack: Stack) -> None:
    async with load(stack, "proxy") as at_work:
        await send(at_work, signal.SIGKILL, [partial(stack.part, "nginx")], KILLS)
    assert_away_for_a_moment(at_work.ledger)


async def test_killed_nodes_come_back_while_the_other_one_serves_or_does_not(stack: Stack) -> None:
    async with load(stack, "nodes") as at_work:
        await send(at_work, signal.SIGKILL, [partial(stack.part, node) for node in _NODES], _OF_NODES)
    assert at_work.ledger.cut == []
    assert_away_for_a_moment(at_work.ledger)


async def test_killed_workers_are_replaced(stack: Stack) -> None:
    nodes = [stack.part(node) for node in _NODES]
    async with load(stack, "workers") as at_work:
        await send(at_work, signal.SIGKILL, [partial(stack.worker, node) for node in _NODES], KILLS)
    assert at_work.ledger.cut == []
    assert [stack.part(node) for node in _NODES] == nodes
    assert_away_for_a_moment(at_work.ledger)


async def test_a_killed_valkey_knows_who_is_signed_in_and_who_has_left(stack: Stack) -> None:
    async with stack.client() as client, load(stack, "Valkey") as at_work:
        person = await Person.signed_in(client)
        for _ in range(KILLS):
            gone = await person.again()
            assert (await gone.leave()).status_code == 204
            await send(at_work, signal.SIGKILL, [partial(stack.part, "Valkey")], 1)
            async with asyncio.timeout(SLOW):
                while (answer := await gone.refresh()).status_code == 503:
                    await asyncio.sleep(0.02)
            assert answer.status_code == 401, answer.text
            assert (await person.refresh()).status_code == 204
    assert at_work.ledger.cut == []
    assert_away_for_a_moment(at_work.ledger)


@pytest.mark.parametrize("name", ["PgBouncer", "PostgreSQL"])
async def test_a_part_that_reads_its_configuration_again_loses_no_request(stack: Stack, name: str) -> None:
    async with load(stack, f"SIGHUP of {name}") as at_work:
        await send(at_work, signal.SIGHUP, [partial(stack.part, name)], KILLS)
    assert at_work.ledger.failures == []


async def test_a_proxy_that_is_loaded_anew_cuts_nothing_but_idle_connections(stack: Stack) -> None:
    async with load(stack, "SIGHUP of the proxy") as at_work:
        for _ in range(KILLS):
            before = set(stack.children("nginx"))
            await send(at_work, signal.SIGHUP, [partial(stack.part, "nginx")], 1)
            # The old ones end when they have answered; until then they would take signals and clients of what follows.
            await eventually(partial(_none_of_them_lives, before), SLOW)
    assert [failure for failure in at_work.ledger.failures if failure.status or not failure.kept] == []


def _none_of_them_lives(processes: Iterable[Process]) -> bool:
    return not any(process.alive for process in processes)


async def test_a_rolling_restart_loses_no_request(stack: Stack) -> None:
    async with load(stack, "SIGTERM of nodes") as at_work:
        for _ in range(_RESTARTS):
            for node in _NODES:
                await send(at_work, signal.SIGTERM, [partial(stack.part, node)], 1)
    assert at_work.ledger.failures == []


async def test_new_workers_take_over_before_the_old_ones_end(stack: Stack) -> None:
    async with load(stack, "SIGHUP of nodes") as at_work:
        before = [stack.worker(node) for node in _NODES]
        await send(at_work, signal.SIGHUP, [partial(stack.part, node) for node in _NODES], len(_NODES))
        await eventually(lambda: not {stack.worker(node) for node in _NODES} & {None, *before}, SLOW)
    assert at_work.ledger.failures == []
