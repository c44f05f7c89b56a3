"""Raw results: one file of JSON lines for each machine and service, and what follows from them."""

import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.openloop import Outcome, percentile
from loadtests.report.cases import BOXES, SETUPS
from loadtests.weakbox import Limits

RESULTS: Final = Path(__file__).parents[1] / "results"
CONDITIONS: Final = "conditions.json"

KEPT_UP: Final = 0.98
"""The part of what is offered that has to be answered in time, up to the knee."""
STEEP: Final = 5.0
"""How many times the 99th percentile of the lowest rate it may be, up to the knee."""
BUSY: Final = 0.85
"""The part of the time from which something counts as the bottleneck."""
WORKER, OTHER, GENERATOR = "workers", "supervisors", "generator"
PARTS: Final = (WORKER, "proxy", "PgBouncer", "PostgreSQL", "Valkey", OTHER)


class Conditions(Struct, frozen=True, kw_only=True):
    """Where and how it was measured.

    Attributes:
        warm_up: seconds before each scenario.
        rounds_a_second: of `loadtests.weakbox --calibrate`.
        real_sync: seconds that an fdatasync of 8 kB takes without the weak box.
    """

    processor: str
    processors: int
    kernel: str
    versions: dict[str, str]
    seconds: float
    rounds: int
    users: int
    sessions: int
    rounds_a_second: float
    real_sync: float
    weak: Limits
    warm_up: float = 1.0

    def agree_with(self, others: "Conditions") -> bool:
        """Whether results of these conditions may stand beside those of others: all that was chosen is the same."""
        measured = {"rounds_a_second": others.rounds_a_second, "real_sync": others.real_sync}
        return msgspec.structs.replace(self, **measured) == others


class Run(Struct, frozen=True, kw_only=True):
    """One measurement.

    Attributes:
        share: of the capacity that was offered; 0: as much as was carried.
        cpu: seconds of each part.
        busiest: of each part the CPU seconds of its busiest process.
        throttled: the part of the quota's periods in which it was used up.
        syncs: that were counted.
        disk: seconds in which the disk was busy with them.
    """

    scenario: str
    setup: str
    share: float
    round: int
    outcome: Outcome
    seconds: float
    cpu: dict[str, float]
    busiest: dict[str, float]
    throttled: float
    syncs: int
    disk: float


class Figure(Struct, frozen=True):
    """The median of the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """Of some rounds, one at least."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    @property
    def spread(self) -> float:
        """How far the rounds lie apart, compared with their median."""
        return (self.high - self.low) / self.median if self.median else 0.0


class Cell:
    """All measurements of one scenario in one setup on one machine."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs

    def at(self, share: float) -> list[Run]:
        """The rounds at a share of the capacity."""
        return [run for run in self._runs if run.share == share]

    @property
    def shares(self) -> list[float]:
        """Those that were measured, from the lowest."""
        return sorted({run.share for run in self._runs if run.share})

    @property
    def capacity(self) -> Figure:
        """Answers a second when as much is sent as the connections carry."""
        return Figure.of(run.outcome.achieved for run in self.at(0))

    def offered(self, share: float) -> float:
        """Requests a second."""
        return statistics.median(run.outcome.offered for run in self.at(share))

    def latency(self, percent: float, share: float) -> Figure:
        """Seconds: the median of the rounds, and their spread."""
        return Figure.of(run.outcome.percentile(percent) for run in self.at(share))

    def merged(self, percent: float, share: float) -> float:
        """Seconds, of the requests of all rounds together."""
        runs = self.at(share)
        together: Counter[int] = Counter()
        for run in runs:
            together.update(run.outcome.latencies)
        return min(percentile(together, percent), max(run.outcome.highest for run in runs))

    def requests(self, share: float) -> int:
        """Of all rounds together."""
        return sum(run.outcome.requests for run in self.at(share))

    @property
    def is_generator_bound(self) -> bool:
        """Whether most rounds at some rate were held up by the generator."""
        return any(
            sum(run.outcome.is_generator_bound for run in self.at(share)) * 2 > len(self.at(share))
            for share in self.shares
        )

    def keeps_up(self, share: float) -> bool:
        """Whether what is offered is answered in time: see `KEPT_UP`."""
        return statistics.median(run.outcome.achieved / run.outcome.offered for run in self.at(share)) >= KEPT_UP

    @property
    def knee(self) -> float:
        """The highest share up to which the service keeps up and is not steep, see `STEEP`; 0 when it never does."""
        knee = 0.0
        calm = self.latency(99, self.shares[0]).median
        for share in self.shares:
            if not self.keeps_up(share) or self.latency(99, share).median > STEEP * calm:
                break
            knee = share
        return knee

    def cpu(self, part: str) -> float:
        """CPU seconds of a part for each answer, when as much is sent as the connections carry."""
        return statistics.median(run.cpu.get(part, 0.0) / run.outcome.answers for run in self.at(0))

    @property
    def syncs(self) -> float:
        """For each answer at capacity."""
        return sum(run.syncs for run in self.at(0)) / sum(run.outcome.answers for run in self.at(0))

    @property
    def disk(self) -> float:
        """The part of the time in which a sync was under way, at capacity."""
        return statistics.median(run.disk / run.seconds for run in self.at(0))

    @property
    def throttled(self) -> float:
        """The part of the quota's periods in which it was used up, at capacity."""
        return statistics.median(run.throttled for run in self.at(0))

    @property
    def generator(self) -> float:
        """The part of a processor that the generator used, at capacity."""
        return statistics.median(run.outcome.busy for run in self.at(0))

    @property
    def cpu_in_all(self) -> Figure:
        """CPU seconds of the whole service for each answer."""
        return Figure.of(sum(run.cpu.values()) / run.outcome.answers for run in self.at(0))

    def bottleneck(self, processors: int, quota: float) -> str:
        """What held it up when as much was sent as the connections carry: the first of these that was busy.

        The disk, the quota, a processor under the generator, all processors, one process that has one thread to work
        with. Where nothing of this was busy, requests waited for each other.
        """
        runs = self.at(0)

        def usual(values: Iterable[float]) -> float:
            return statistics.median(list(values))

        used = {part: usual(run.cpu.get(part, 0.0) / run.seconds for run in runs) for part in PARTS}
        generator = self.generator
        most = max(used, key=lambda part: used[part])
        share = used[most] / max(sum(used.values()), 1e-9)
        if quota and self.disk >= BUSY:
            return "the disk"
        if quota and sum(used.values()) >= BUSY * quota:
            return f"the CPU quota, {share:.0%} of it {most}"
        if generator >= BUSY:
            return "the generator"
        if not quota and sum(used.values()) + generator >= BUSY * processors:
            return f"the processors, {share:.0%} of the service's part {most}, {generator:.0%} of one the generator"
        single = {part: usual(run.busiest.get(part, 0.0) / run.seconds for run in runs) for part in PARTS}
        most = max(single, key=lambda part: single[part])
        if single[most] >= BUSY:
            return f"one process of {most}"
        return "waiting: nothing was busy"


Cells = dict[tuple[str, str, str], Cell]
"""By machine, setup and scenario."""


def file_of(folder: Path, box: str, service: str) -> Path:
    """Where the results of a service on a machine lie."""
    return folder / f"{box}-{service}.jsonl"


def write(file: Path, runs: list[Run]) -> None:
    """Keep results, a line each."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"".join(msgspec.json.encode(rounded(run)) + b"\n" for run in runs))


def rounded(run: Run) -> object:
    """What a run says, without digits that say nothing; what is carried at capacity has no honest latencies."""

    def short(value: object) -> object:
        if isinstance(value, dict):
            return {key: short(inner) for key, inner in value.items()}
        return float(f"{value:.5g}") if isinstance(value, float) else value

    told = short(msgspec.to_builtins(run, str_keys=True))
    assert isinstance(told, dict)
    if not run.share:
        told["outcome"]["latencies"] = {}
    return told


def conditions_of(folder: Path) -> Conditions:
    """Where and how the results of a folder were measured.

    Raises:
        FileNotFoundError: there are none.
    """
    return msgspec.json.decode((folder / CONDITIONS).read_bytes(), type=Conditions)


def read(folder: Path) -> tuple[Conditions, Cells]:
    """All results, and where they were measured.

    Raises:
        FileNotFoundError: there are none.
    """
    conditions = conditions_of(folder)
    services = {setup.service for setup in SETUPS}
    runs: dict[tuple[str, str, str], list[Run]] = {}
    for box in BOXES:
        for service in sorted(services):
            file = file_of(folder, box, service)
            for line in file.read_bytes().splitlines() if file.exists() else ():
                run = msgspec.json.decode(line, type=Run, strict=False)
                runs.setdefault((box, run.setup, run.scenario), []).append(run)
    return conditions, {key: Cell(found) for key, found in runs.items()}


def is_whole(cell: Cell) -> bool:
    """Whether it was measured at its capacity and at a rate, each time long enough for an answer."""
    measured = [run.outcome.latencies for share in cell.shares for run in cell.at(share)]
    return bool(cell.at(0)) and cell.capacity.low > 0 and bool(measured) and all(measured)
