"""The measurements themselves: each scenario in each setup, on the machine as it is and on the weak box."""

import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console

from app.embedded.binaries import postgres_program, valkey_program
from app.stack.programs import find_pgbouncer, find_proxy
from loadtests.openloop import Outcome, Plan, generate
from loadtests.report import results
from loadtests.report.cases import BASE, BOXES, COMPARED, SERVICES, SETUPS, SHARES, Scenario, Setup, scenarios_of
from loadtests.report.results import Cell, Conditions, Run
from loadtests.report.service import Service, Target, copy_data, make_data, requests_of, running, sign_in
from loadtests.weakbox import NORMAL, calibrate, opened

_CONNECTIONS: Final = 128

console = Console(width=150, soft_wrap=True, highlight=False)


class Effort(Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        seconds: that count, of each measurement.
        settle: seconds before them.
        warm_up: seconds before the first measurement of each scenario.
        rounds: of each measurement.
        users: whose tokens are used in turns.
        sessions: of each of them.
    """

    seconds: float
    settle: float
    warm_up: float
    rounds: int
    users: int
    sessions: int


class Meter:
    """Sends plans to a service from a process of its own, and takes down what they cost."""

    def __init__(self, service: Service, generator: ProcessPoolExecutor, effort: Effort) -> None:
        self._service = service
        self._generator = generator
        self._effort = effort
        self._sent = 0

    def measure(self, setup: Setup, scenario: Scenario, requests: list[bytes], base: float) -> Iterator[Run]:
        """All runs of a scenario in a setup: at its capacity, then at shares of a capacity.

        Args:
            base: the capacity of the first setup; 0: this is the first one, and its own counts.
        """
        plan = Plan(
            urls=self._service.urls(setup),
            requests=requests,
            rate=0,
            seconds=self._effort.seconds * scenario.stretch,
            connections=scenario.connections,
        )
        self._send(msgspec.structs.replace(plan, seconds=self._effort.warm_up))
        at_capacity = [self._run(plan, setup, scenario.name, 0, number) for number in range(self._effort.rounds)]
        yield from at_capacity
        capacity = base or statistics.median(run.outcome.achieved for run in at_capacity)
        for number in range(self._effort.rounds):
            for share in (COMPARED,) if base else SHARES:
                offered = msgspec.structs.replace(plan, rate=max(1.0, share * capacity), connections=_CONNECTIONS)
                yield self._run(offered, setup, scenario.name, share, number)

    def _run(self, plan: Plan, setup: Setup, scenario: str, share: float, number: int) -> Run:
        settle = self._effort.settle
        plan = msgspec.structs.replace(plan, seconds=settle + plan.seconds, settle=settle)
        before, throttling, syncs = (
            self._service.cpu_seconds(),
            self._service.box.throttling(),
            self._service.box.syncs(),
        )
        outcome = self._send(plan)
        after, throttled, synced = (
            self._service.cpu_seconds(),
            self._service.box.throttling(),
            self._service.box.syncs(),
        )
        spent: dict[str, list[float]] = {}
        for (part, pid), seconds in after.items():
            spent.setdefault(part, []).append(seconds - before.get((part, pid), 0.0))
        periods = throttled.periods - throttling.periods
        return Run(
            scenario=scenario,
            setup=setup.name,
            share=share,
            round=number,
            outcome=outcome,
            seconds=plan.seconds,
            cpu={part: sum(seconds) for part, seconds in spent.items()},
            busiest={part: max(seconds) for part, seconds in spent.items()},
            throttled=(throttled.throttled - throttling.throttled) / periods if periods else 0.0,
            syncs=synced.count - syncs.count,
            disk=synced.busy - syncs.busy,
        )

    def _send(self, plan: Plan) -> Outcome:
        outcome = self._generator.submit(generate, msgspec.structs.replace(plan, start=self._sent)).result()
        self._sent += outcome.answers
        return outcome


def measure_all(folder: Path, effort: Effort, only: Sequence[str], *, again: bool) -> None:
    """Measure what has no results yet, or all of it again.

    Args:
        folder: where the results go.
        only: names of machines or services; empty: all.

    Raises:
        MixtureError: what is not measured has results of other conditions.
    """
    wanted = [
        (box, service)
        for box in BOXES
        for service in SERVICES
        if (not only or {box, service, f"{box}-{service}"} & set(only))
        and (again or not results.file_of(folder, box, service).exists())
    ]
    if not wanted:
        console.print("Everything has its results; --again measures it once more.")
        return
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="irontrack-report-") as temporary,
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as generator,
    ):
        conditions = _conditions(effort, Path(temporary))
        refuse_mixture(folder, conditions, wanted)
        (folder / results.CONDITIONS).write_bytes(_formatted(conditions))
        template = Path(temporary, "template")
        with opened(NORMAL) as box:
            targets = make_data(template, box, effort.users, effort.sessions)
        for name, service in wanted:
            console.print(f"{time.monotonic() - began:5.0f} s  {name}-{service}")
            data = Path(temporary, "data")
            copy_data(template, data)
            runs = _measure_service(name, service, data, targets, generator, effort, folder)
            results.write(results.file_of(folder, name, service), runs)
    console.print(f"{time.monotonic() - began:5.0f} s  done")


class MixtureError(Exception):
    """Results that stay were measured under other conditions, and would be told as if they were not."""


def refuse_mixture(folder: Path, conditions: Conditions, wanted: Sequence[tuple[str, str]]) -> None:
    """See that the results that stay, beside those that are wanted, can stand beside new ones.

    Raises:
        MixtureError: they can't.
    """
    stay = [
        f"{box}-{service}"
        for box in BOXES
        for service in SERVICES
        if (box, service) not in wanted and results.file_of(folder, box, service).exists()
    ]
    if stay and not conditions.agree_with(results.conditions_of(folder)):
        raise MixtureError(f"{', '.join(stay)} were measured under other conditions: measure all of them again.")


def _measure_service(
    name: str,
    service: str,
    data: Path,
    targets: list[Target],
    generator: ProcessPoolExecutor,
    effort: Effort,
    folder: Path,
) -> list[Run]:
    runs: list[Run] = []
    with opened(BOXES[name]) as box, running(service, data, box) as started:
        setups = [setup for setup in SETUPS if setup.service == service]
        tokens = sign_in(started.urls(setups[0])[0], sorted({target.email for target in targets}))
        meter = Meter(started, generator, effort)
        for setup in setups:
            for scenario in scenarios_of(setup):
                base = 0.0 if setup == BASE else _capacity(folder, name, scenario.name, runs)
                requests = requests_of(scenario.name, targets, tokens)
                measured = list(meter.measure(setup, scenario, requests, base))
                console.print(f"        {setup.name}: {scenario.name} {Cell(measured).capacity.median:.0f}/s")
                runs += measured
    return runs


def _capacity(folder: Path, box: str, scenario: str, runs: list[Run]) -> float:
    """That of the first setup: of this service, or as it was measured before.

    Raises:
        KeyError: it was not.
    """
    mine = [run for run in runs if (run.setup, run.scenario) == (BASE.name, scenario)]
    cell = Cell(mine) if mine else results.read(folder)[1][box, BASE.name, scenario]
    return cell.capacity.median


def _conditions(effort: Effort, temporary: Path) -> Conditions:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return Conditions(
        processor=next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"),
        processors=len(os.sched_getaffinity(0)),
        kernel=platform.release().partition("-")[0],
        versions=_versions(),
        seconds=effort.seconds,
        rounds=effort.rounds,
        users=effort.users,
        sessions=effort.sessions,
        rounds_a_second=round(calibrate(2.0)),
        real_sync=_sync_seconds(temporary / "synced"),
        weak=BOXES["weak"],
        warm_up=effort.warm_up,
    )


def _versions() -> dict[str, str]:
    proxy = find_proxy("")
    told = {
        "PostgreSQL": _number(str(postgres_program("postgres")), "--version"),
        "Valkey": _number(str(valkey_program()), "--version"),
        "PgBouncer": _number(find_pgbouncer(), "--version"),
        proxy.path.rpartition("/")[2]: _number(proxy.path, "-v"),
    }
    packages = {name: version(name) for name in ("granian", "litestar", "asyncpg", "msgspec", "uvloop")}
    return {"Python": platform.python_version(), **told, **packages}


def _number(*command: str) -> str:
    """The version that a program tells."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout or done.stderr)
    return found[0] if found else "?"


def _sync_seconds(file: Path) -> float:
    """What making 8 kB durable takes on this disk: the median of some."""
    taken = []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number in range(100):
            os.pwrite(descriptor, bytes(8192), number * 8192)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
    return float(f"{statistics.median(taken):.3g}")


def _formatted(conditions: Conditions) -> bytes:
    return msgspec.json.format(msgspec.json.encode(conditions), indent=2) + b"\n"
