"""REPORT.md and its plots, from the raw results alone."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mako.template import Template

from loadtests.openloop import PERCENTILES
from loadtests.report import results
from loadtests.report.cases import BASE, BOXES, COMPARED, SCENARIOS, SETUPS, SHARES, UNLIMITED, Setup
from loadtests.report.plots import Panel, Ratio, bars, panels, ratios
from loadtests.report.results import PARTS, RESULTS, Cell, Cells, Conditions, Run, is_whole

HOME: Final = RESULTS.parent
_TEMPLATE: Final = Path(__file__).with_name("REPORT.md.mako")
ENOUGH: Final = 1000
"""Requests from which one in a thousand is told."""


def render(folder: Path = RESULTS) -> dict[str, str]:
    """The files of the report by their paths beside the results' folder.

    Raises:
        FileNotFoundError: there are no results.
    """
    conditions, cells = results.read(folder)
    whole = {key: cell for key, cell in cells.items() if is_whole(cell)}
    boxes = [box for box in BOXES if any(key[:2] == (box, BASE.name) for key in whole)]
    files = {}
    for box in boxes:
        if shown := _latencies(whole, box):
            files[f"plots/latency-{box}.svg"] = panels(f"{box}: latency in ms against the offered rate", shown)
        if spent := _spent(whole, box):
            files[f"plots/cpu-{box}.svg"] = bars(f"{box}: CPU for each request, by process", "µs", spent)
        if pairs := _ratios(whole, box):
            files[f"plots/setups-{box}.svg"] = ratios(f"{box}: capacity, one thing changed", pairs)
    told = Template(filename=str(_TEMPLATE), strict_undefined=True).render(
        conditions=conditions,
        cells=whole,
        boxes=boxes,
        plots=sorted(files),
        tables=Tables(conditions, whole),
        setups=SETUPS,
        scenarios=SCENARIOS,
        shares=SHARES,
        compared=COMPARED,
        unlimited=" ".join(UNLIMITED),
        results=results,
    )
    return {**files, "REPORT.md": str(told)}


def write(home: Path = HOME, folder: Path = RESULTS) -> None:
    """Write the report, and remove plots that it no longer has."""
    files = render(folder)
    (home / "plots").mkdir(exist_ok=True)
    for old in (home / "plots").glob("*.svg"):
        if f"plots/{old.name}" not in files:
            old.unlink()
    for name, text in files.items():
        (home / name).write_text(text, encoding="utf-8")


def _latencies(cells: Cells, box: str) -> list[Panel]:
    shown = []
    for scenario in SCENARIOS:
        if cell := cells.get((box, BASE.name, scenario.name)):
            lines = {
                name: [cell.merged(percent, share) * 1e3 for share in cell.shares]
                for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
            }
            rates = [cell.offered(share) for share in cell.shares]
            knee = cell.offered(cell.knee) if cell.knee else 0.0
            shown.append(Panel(scenario.name, rates, lines, knee))
    return shown


def _spent(cells: Cells, box: str) -> dict[str, dict[str, float]]:
    return {
        scenario.name: {part: cell.cpu(part) * 1e6 for part in PARTS}
        for scenario in SCENARIOS
        # A password hash costs a hundred times as much as the others: nothing else could be seen.
        if scenario.name != "sign-in" and (cell := cells.get((box, BASE.name, scenario.name)))
    }


def _ratios(cells: Cells, box: str) -> dict[str, dict[str, Ratio]]:
    found: dict[str, dict[str, Ratio]] = {}
    for setup, scenario, mine, beside in pairs_of(cells, box):
        value = mine.capacity.median / beside.capacity.median
        found.setdefault(f"{setup.name} : {setup.beside}", {})[scenario] = Ratio(value, *_range(mine, beside))
    return found


def pairs_of(cells: Cells, box: str) -> Iterator[tuple[Setup, str, Cell, Cell]]:
    """Each setup and scenario with the one that it differs from in one thing."""
    for setup in SETUPS:
        for scenario in SCENARIOS:
            mine = cells.get((box, setup.name, scenario.name))
            beside = cells.get((box, setup.beside, scenario.name))
            if mine and beside:
                yield setup, scenario.name, mine, beside


class Tables:
    """The tables of the report."""

    def __init__(self, conditions: Conditions, cells: Cells) -> None:
        self._conditions = conditions
        self._cells = cells

    def _quota(self, box: str) -> float:
        return self._conditions.weak.quota if box == "weak" else 0.0

    def _rows(self, box: str) -> list[tuple[str, Cell]]:
        named = [(scenario.name, self._cells.get((box, BASE.name, scenario.name))) for scenario in SCENARIOS]
        return [(name, cell) for name, cell in named if cell]

    def normal(self, box: str) -> str:
        """What is carried, in absolute figures."""
        rows = [
            (
                name,
                f"{cell.capacity.median:,.0f}/s",
                f"{cell.capacity.spread:.0%}",
                self._knee(cell),
                _milliseconds(cell, 50),
                _milliseconds(cell, 99),
                cell.bottleneck(self._conditions.processors, self._quota(box)),
            )
            for name, cell in self._rows(box)
        ]
        heads = ("", "capacity", "spread", "knee", f"p50 at {COMPARED:.0%}", f"p99 at {COMPARED:.0%}", "held up by")
        return _table(heads, rows)

    def ratios(self) -> str:
        """The weak box for each of the normal machine."""
        rows = []
        for name, weak in self._rows("weak"):
            normal = self._cells.get(("normal", BASE.name, name))
            if normal:
                rows.append(
                    (
                        name,
                        _ratio(weak.capacity.median, normal.capacity.median),
                        _ratio(weak.cpu_in_all.median, normal.cpu_in_all.median),
                        *(
                            _ratio(weak.latency(percent, COMPARED).median, normal.latency(percent, COMPARED).median)
                            for percent in (50, 99)
                        ),
                    )
                )
        return _table(("weak : normal", "capacity", "CPU of a request", "p50", "p99"), rows)

    def latencies(self, box: str) -> str:
        """Every percentile at every rate."""
        rows = []
        for name, cell in self._rows(box):
            for share in cell.shares:
                runs = cell.at(share)
                rows.append(
                    (
                        name,
                        f"{share:.0%}",
                        f"{cell.offered(share):,.1f}",
                        f"{statistics.median(run.outcome.achieved for run in runs):,.1f}",
                        *(self._percentile(cell, percent, share) for percent in PERCENTILES),
                        f"{cell.latency(99, share).spread:.0%}",
                        str(sum(run.outcome.errors for run in runs)),
                        f"{max(run.outcome.lag for run in runs) * 1e3:.1f}"
                        + ("!" if sum(run.outcome.is_generator_bound for run in runs) * 2 > len(runs) else ""),
                    )
                )
        names = tuple("max" if percent == 100 else f"p{percent:g}" for percent in PERCENTILES)
        heads = ("", "of capacity", "offered/s", "answered/s", *names, "spread of p99", "errors", "own lag")
        return _table(heads, rows)

    @staticmethod
    def _percentile(cell: Cell, percent: float, share: float) -> str:
        if percent == 99.9 and cell.requests(share) < ENOUGH:
            return "-"
        return f"{cell.merged(percent, share) * 1e3:.1f}"

    def spent(self, box: str) -> str:
        """CPU of a request by part."""
        rows = [
            (
                name,
                *(f"{cell.cpu(part) * 1e6:,.0f}" for part in PARTS),
                f"{cell.cpu_in_all.median * 1e6:,.0f}",
                f"{cell.cpu_in_all.spread:.0%}",
                f"{cell.syncs:.2f}",
                f"{cell.disk:.0%}",
                f"{cell.throttled:.0%}",
                f"{cell.generator:.0%}",
            )
            for name, cell in self._rows(box)
        ]
        return _table(("µs", *PARTS, "in all", "spread", "syncs a request", "disk", "throttled", "generator"), rows)

    def compared(self, box: str) -> str:
        """Each setup for each of the one that it differs from in one thing."""
        rows = [
            (
                f"{setup.name} : {setup.beside}",
                scenario,
                _ratio(mine.capacity.median, beside.capacity.median),
                " to ".join(f"{limit:.2f}" for limit in _range(mine, beside)),
                _ratio(mine.cpu_in_all.median, beside.cpu_in_all.median),
                self._same_rate(mine, beside, 50),
                self._same_rate(mine, beside, 99),
                mine.bottleneck(self._conditions.processors, self._quota(box)),
            )
            for setup, scenario, mine, beside in pairs_of(self._cells, box)
        ]
        heads = ("", "", "capacity", "within", "CPU of a request", "p50", "p99", "the first is held up by")
        return _table(heads, rows)

    def weakest(self) -> str:
        """How much of it the weak box carries."""
        found = {
            name: weak.capacity.median / normal.capacity.median
            for name, weak in self._rows("weak")
            if (normal := self._cells.get(("normal", BASE.name, name)))
        }
        if not found:
            return "what was not measured on both"
        least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
        return f"{found[least]:.2f} ({least}) to {found[most]:.2f} ({most})"

    def beyond(self, box: str) -> list[str]:
        """Pairs whose capacities differ by more than the rounds do, and by how much."""
        found: dict[str, list[str]] = {}
        for setup, scenario, mine, beside in pairs_of(self._cells, box):
            low, high = _range(mine, beside)
            if low > 1 or high < 1:
                ratio = _ratio(mine.capacity.median, beside.capacity.median)
                found.setdefault(f"{setup.name} : {setup.beside}", []).append(f"{scenario} {ratio}")
        return [f"{pair}: {', '.join(told)}" for pair, told in found.items()]

    @staticmethod
    def _same_rate(mine: Cell, beside: Cell, percent: float) -> str:
        if not mine.keeps_up(COMPARED) or not beside.keeps_up(COMPARED):
            return "one is too slow"
        return _ratio(mine.latency(percent, COMPARED).median, beside.latency(percent, COMPARED).median)

    @staticmethod
    def requests(runs: Sequence[Run]) -> int:
        """All that count."""
        return sum(sum(run.outcome.statuses.values()) + run.outcome.unanswered for run in runs)

    @staticmethod
    def errors(runs: Sequence[Run]) -> int:
        """Those that failed."""
        return sum(run.outcome.errors for run in runs)

    def at_rates(self) -> list[Run]:
        """All measurements at a rate."""
        return [run for cell in self._cells.values() for share in cell.shares for run in cell.at(share)]

    def at_capacity(self) -> list[Run]:
        """All measurements of what is carried."""
        return [run for cell in self._cells.values() for run in cell.at(0)]

    def settle(self) -> float:
        """Seconds of each measurement that did not count."""
        return statistics.median(run.seconds - run.outcome.seconds for run in self.at_rates())

    def held_up(self) -> list[str]:
        """Where the generator held most rounds up."""
        return [", ".join(key) for key, cell in self._cells.items() if cell.is_generator_bound]

    @staticmethod
    def _knee(cell: Cell) -> str:
        if not cell.knee:
            return "below the lowest rate"
        return f"{'≥ ' if cell.knee == cell.shares[-1] else ''}{cell.knee:.0%}"


def _milliseconds(cell: Cell, percent: float) -> str:
    return f"{cell.latency(percent, COMPARED).median * 1e3:.1f} ms"


def _ratio(value: float, other: float) -> str:
    return f"{value / other:.2f}" if other else "-"


def _range(mine: Cell, beside: Cell) -> tuple[float, float]:
    """The lowest and the highest ratio of capacities that the rounds allow."""
    return mine.capacity.low / beside.capacity.high, mine.capacity.high / beside.capacity.low


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
