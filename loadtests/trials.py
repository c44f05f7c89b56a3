"""That what has ended is refused: ``python -m loadtests.trials`` starts the service with two workers and tries it.

Accounts sign out, change their password, are deactivated or demoted while their credentials are in use on both workers.
Every request that is sent after the answer has to be refused by both: under load, after a minute of silence, while
Valkey is restarted, killed and frozen, and afterwards. Then refresh tokens: used on both workers at the same instant,
and once more when the period of grace is over.
"""

import signal
import sys
import time
from argparse import ArgumentParser

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.revocation.trials import Kind, Tally, Trials
from tests.revocation.workers import TwoWorkers

GRACE = 10.5
"""Seconds after which a refresh token that was used is good for nothing, and a bit."""
SILENCE = 60.0
RESTARTED, FROZEN, RACES = 25, 5, 100

console = Console(width=120, soft_wrap=True)


class Report:
    """The table, row by row."""

    def __init__(self) -> None:
        self.clean = True
        self._rows: list[tuple[str, Tally]] = []

    def add(self, name: str, tally: Tally) -> None:
        """Note what was found."""
        self._rows.append((name, tally))
        self.clean = self.clean and tally.clean and tally.requests > 0
        console.print(f"{name}: {tally.trials} trials, {len(tally.accepted)} accepted by mistake")

    def show(self) -> None:
        """Print the table, and what went wrong."""
        table = Table("when", "trials", "requests after the answer", "accepted by mistake", "other than refused")
        for name, tally in self._rows:
            found = (tally.trials, tally.requests, len(tally.accepted), len(tally.unclear))
            table.add_row(name, *(f"{number:,}" for number in found))
        console.print(table)
        for name, tally in self._rows:
            for mistake in (*tally.accepted, *tally.unclear):
                console.print(f"{name}: {mistake}")


def wait(seconds: float, why: str) -> None:
    """Send nothing for a while."""
    for _ in track(range(20), why, console=console, transient=True):
        time.sleep(seconds / 20)


def try_all(workers: TwoWorkers, each: int, silence: float) -> Report:
    """Do everything; `each` is the number of trials of each kind under load, `silence` is in seconds."""
    report, trials = Report(), Trials(workers)
    ended = []
    for kind in Kind:
        victims = trials.victims(each, [kind])
        with trials.crowd():
            report.add(f"{kind}, under load", trials.run(victims))
        ended += victims

    late = trials.victims(RESTARTED)
    trials.warm(late)
    wait(silence, "silence")
    report.add(f"first thing after {silence:.0f} s of silence", trials.run(late))
    report.add("the same tokens as before it", trials.repeat(ended))

    for how in (signal.SIGTERM, signal.SIGKILL):
        meanwhile, afterwards = trials.victims(FROZEN), trials.victims(RESTARTED)
        trials.warm([*meanwhile, *afterwards])
        with trials.crowd():
            with workers.valkey_away(how):
                report.add(f"Valkey away after {how.name}", trials.run(meanwhile))
            report.add(f"Valkey back after {how.name}", trials.run(afterwards))
        report.add("the same tokens as before it", trials.repeat([*ended, *meanwhile]))

    meanwhile, afterwards = trials.victims(FROZEN), trials.victims(RESTARTED)
    trials.warm([*meanwhile, *afterwards])
    with trials.crowd():
        with workers.valkey_frozen():
            report.add("Valkey frozen by SIGSTOP", trials.run(meanwhile, runners=10))
            report.add("the same tokens as before it", trials.repeat(ended))
        report.add("Valkey going on after SIGCONT", trials.run(afterwards))
    report.add("the same tokens as before it", trials.repeat([*ended, *meanwhile]))

    with trials.crowd():
        races = trials.races(RACES)
    wait(GRACE, "the period of grace")
    report.add("refresh token of two at once, used again later", trials.use_again(races))
    report.add("the same tokens once more", trials.use_dead(races))
    return report


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=250, help="trials of each of the four kinds under load")
    parser.add_argument("--silence", type=float, default=SILENCE, help="seconds")
    options = parser.parse_args()
    with TwoWorkers.running() as workers:
        report = try_all(workers, options.each, options.silence)
    report.show()
    if not report.clean:
        console.print("Something was not refused.")
        sys.exit(1)


if __name__ == "__main__":
    main()
