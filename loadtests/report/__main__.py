"""``python -m loadtests.report run`` measures, ``python -m loadtests.report render`` writes REPORT.md and its plots."""

import signal
import sys
from argparse import ArgumentParser
from pathlib import Path

from loadtests.report.measure import Effort, MixtureError, measure_all
from loadtests.report.render import write
from loadtests.report.results import RESULTS


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(prog="python -m loadtests.report", description="What the stack carries, normal and weak.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure what has no results yet, then render")
    run.add_argument("--only", action="append", default=[], help="normal, weak, a service such as stack, weak-stack")
    run.add_argument("--again", action="store_true", help="also what has results already")
    run.add_argument("--seconds", type=float, default=2.0, help="that count, of each measurement (%(default)s)")
    run.add_argument("--settle", type=float, default=0.5, help="seconds before them (%(default)s)")
    run.add_argument("--warm-up", type=float, default=1.0, help="seconds before each scenario (%(default)s)")
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument("--users", type=int, default=32)
    run.add_argument("--sessions", type=int, default=300, help="of each user")
    run.add_argument("--results", type=Path, default=RESULTS, help="where they are kept")
    render = commands.add_parser("render", help="write REPORT.md and the plots from the results")
    render.set_defaults(results=RESULTS)
    options = parser.parse_args()
    # So that what runs is ended in order, and nothing is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.command == "run":
        effort = Effort(
            seconds=options.seconds,
            settle=options.settle,
            warm_up=options.warm_up,
            rounds=options.rounds,
            users=options.users,
            sessions=options.sessions,
        )
        try:
            measure_all(options.results, effort, options.only, again=options.again)
        except MixtureError as error:
            parser.exit(1, f"Error: {error}\n")
    if options.results == RESULTS:
        write()


if __name__ == "__main__":
    main()
