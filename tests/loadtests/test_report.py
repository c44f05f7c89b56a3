"""The report is what its raw results say, by rules that are stated."""

from pathlib import Path

import msgspec
import pytest

from loadtests.openloop import Outcome, class_of
from loadtests.report import results
from loadtests.report.cases import BOXES, SCENARIOS, SERVICES, SETUPS, scenarios_of
from loadtests.report.measure import MixtureError, refuse_mixture
from loadtests.report.render import HOME, Tables, render
from loadtests.report.results import RESULTS, Cell, Figure, Run


def outcome(rate: float = 100, achieved: float = 100, latency: float = 0.01, busy: float = 0.1) -> Outcome:
    return Outcome(
        offered=rate,
        achieved=achieved,
        statuses={200: 100},
        unanswered=0,
        latencies={class_of(latency): 100},
        highest=latency,
        lag=0.0,
        busy=busy,
        connections=4,
        seconds=1.0,
        answers=100,
    )


def run(
    share: float = 0,
    number: int = 0,
    said: Outcome | None = None,
    cpu: dict[str, float] | None = None,
    busiest: dict[str, float] | None = None,
    disk: float = 0,
) -> Run:
    return Run(
        scenario="me",
        setup="stack",
        share=share,
        round=number,
        outcome=said or outcome(),
        seconds=1.0,
        cpu=cpu or {},
        busiest=busiest or {},
        throttled=0.0,
        syncs=0,
        disk=disk,
    )


def test_the_report_and_its_plots_are_what_the_results_say() -> None:
    files = render()
    assert files["REPORT.md"] == (HOME / "REPORT.md").read_text("utf-8")
    plots = {f"plots/{plot.name}" for plot in (HOME / "plots").iterdir()}
    assert plots == set(files) - {"REPORT.md"}
    for plot in plots:
        assert files[plot] == (HOME / plot).read_text("utf-8")


def test_every_setup_and_scenario_was_measured_on_both_machines() -> None:
    _, cells = results.read(RESULTS)
    wanted = {(box, setup.name, scenario.name) for box in BOXES for setup in SETUPS for scenario in scenarios_of(setup)}
    assert {key for key, cell in cells.items() if results.is_whole(cell)} == wanted
    assert sum(file.stat().st_size for file in RESULTS.iterdir()) < 1_000_000


def test_each_setup_differs_from_one_that_has_its_scenarios() -> None:
    names = {setup.name: setup for setup in SETUPS}
    for setup in SETUPS:
        assert setup.service in SERVICES
        if setup.beside:
            beside = {scenario.name for scenario in scenarios_of(names[setup.beside])}
            assert {scenario.name for scenario in scenarios_of(setup)} <= beside
    assert {scenario.name for scenario in SCENARIOS} == {scenario.name for scenario in scenarios_of(SETUPS[0])}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / results.CONDITIONS).write_bytes((RESULTS / results.CONDITIONS).read_bytes())
    written = [run(), run(share=0.4, number=1, cpu={"workers": 0.5})]
    results.write(results.file_of(tmp_path, "weak", "stack"), written)
    _, cells = results.read(tmp_path)
    cell = cells["weak", "stack", "me"]
    assert cell.at(0.4) == [written[1]]
    # At capacity latencies say nothing, and are not kept.
    assert cell.at(0) == [msgspec.structs.replace(run(), outcome=msgspec.structs.replace(outcome(), latencies={}))]


def test_results_of_other_conditions_are_not_mixed(tmp_path: Path) -> None:
    measured = results.conditions_of(RESULTS)
    (tmp_path / results.CONDITIONS).write_bytes((RESULTS / results.CONDITIONS).read_bytes())
    results.write(results.file_of(tmp_path, "weak", "stack"), [run()])
    longer = msgspec.structs.replace(measured, seconds=measured.seconds + 1)
    with pytest.raises(MixtureError, match="weak-stack were"):
        refuse_mixture(tmp_path, longer, [("normal", "stack")])
    refuse_mixture(tmp_path, longer, [("normal", "stack"), ("weak", "stack")])
    # What was not chosen may differ.
    refuse_mixture(tmp_path, msgspec.structs.replace(measured, real_sync=1.0), [("normal", "stack")])


def test_failures_are_counted_apart_from_answers() -> None:
    said = msgspec.structs.replace(outcome(), statuses={200: 90, 503: 7, 0: 1}, unanswered=2)
    cells = {("normal", "stack", "me"): Cell([run(said=said), run(share=0.4)])}
    tables = Tables(results.conditions_of(RESULTS), cells)
    assert (tables.requests(tables.at_capacity()), tables.errors(tables.at_capacity())) == (100, 10)
    assert (tables.requests(tables.at_rates()), tables.errors(tables.at_rates())) == (100, 0)


def test_figures_are_medians_with_their_spread() -> None:
    figure = Figure.of([3.0, 1.0, 2.0])
    assert (figure.median, figure.low, figure.high, figure.spread) == (2.0, 1.0, 3.0, 1.0)


def test_the_knee_is_where_it_falls_behind_or_gets_steep() -> None:
    def knee(*measured: tuple[float, float]) -> float:
        runs = [
            run(share, said=outcome(100, achieved, latency))
            for share, (achieved, latency) in zip((0.2, 0.4, 0.7, 0.9), measured, strict=True)
        ]
        return Cell(runs).knee

    assert knee((100, 0.01), (100, 0.01), (100, 0.02), (99, 0.049)) == 0.9
    assert knee((100, 0.01), (100, 0.01), (100, 0.02), (97, 0.02)) == 0.7
    assert knee((100, 0.01), (100, 0.01), (100, 0.06), (100, 0.01)) == 0.4
    assert knee((90, 0.01), (100, 0.01), (100, 0.01), (100, 0.01)) == 0


@pytest.mark.parametrize(
    ("measured", "quota", "bottleneck"),
    [
        (run(disk=0.9, cpu={"workers": 0.9}), 1.0, "the disk"),
        (run(disk=0.5, cpu={"workers": 0.6, "PostgreSQL": 0.3}), 1.0, "the CPU quota, 67% of it workers"),
        (run(said=outcome(busy=0.9), cpu={"workers": 1.0}), 0.0, "the generator"),
        (
            run(said=outcome(busy=0.2), cpu={"workers": 0.4, "PostgreSQL": 1.2}),
            0.0,
            "the processors, 75% of the service's part PostgreSQL, 20% of one the generator",
        ),
        (run(cpu={"workers": 0.9}, busiest={"workers": 0.9}), 0.0, "one process of workers"),
        (run(disk=0.9, cpu={"workers": 0.2}), 0.0, "waiting: nothing was busy"),
    ],
)
def test_what_held_it_up(measured: Run, quota: float, bottleneck: str) -> None:
    assert Cell([measured]).bottleneck(2, quota) == bottleneck


def test_a_run_without_an_answer_is_no_result() -> None:
    silent = outcome(achieved=0)
    assert not results.is_whole(Cell([run(), run(share=0.4, said=msgspec.structs.replace(silent, latencies={}))]))
    assert not results.is_whole(Cell([run(said=silent), run(share=0.4)]))
    assert results.is_whole(Cell([run(), run(share=0.4)]))
