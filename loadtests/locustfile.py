"""The crowd, for Locust: ``just load`` against a running service with seeded people (``just load-seed``).

Options besides Locust's own are ``--pace``, ``--people``, ``--slack`` and ``--verdict``. A class that is named at the
end comes alone.
"""

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from rich.console import Console
from rich.table import Table

from loadtests.crowd.connections import target_of
from loadtests.crowd.lifter import Lifter
from loadtests.crowd.runner import Runner
from loadtests.crowd.storm import Storm
from loadtests.crowd.trainer import Trainer
from loadtests.crowd.verdict import Judged, Seen, judge
from loadtests.crowd.visitor import Visitor

__all__ = ("Lifter", "Runner", "Storm", "Trainer", "Visitor")


def add_options(parser: LocustArgumentParser) -> None:
    """Take our own options."""
    parser.add_argument("--pace", type=float, default=1.0, help="Multiplies all pauses; 0.1 is a time-lapse.")
    parser.add_argument("--people", type=int, default=200, help="How many are seeded.")
    parser.add_argument("--slack", type=float, default=1.0, help="Multiplies the times that are allowed.")
    parser.add_argument("--verdict", default="", help="A JSON file for what was allowed and what was seen.")


def prepare(environment: Environment, **_: Any) -> None:
    """Refuse what can't be meant, before anybody comes.

    Raises:
        SystemExit: there is no such host, or there are too few people.
    """
    options: Any = environment.parsed_options
    if environment.host:
        try:
            target_of(environment.host)
        except ValueError as error:
            sys.exit(str(error))
    if (options.num_users or 0) > options.people:
        sys.exit(f"--users {options.num_users}, but only --people {options.people}: seed more, and say how many.")
    # Let the event loop see how late it is: else the time that importing took would be missing from the run's.
    time.sleep(0)


def decide(environment: Environment, **_: Any) -> None:
    """Judge the run, and let it fail if anything is out of its budget."""
    options: Any = environment.parsed_options
    judged = judge(_everything(environment), options.slack)
    _show(judged)
    if options.verdict:
        path = Path(options.verdict)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(judged)))
    exceptions = environment.runner.exceptions if environment.runner else {}
    is_good = bool(judged) and not exceptions and not any(row.broken for row in judged)
    environment.process_exit_code = 0 if is_good else 1


def _everything(environment: Environment) -> list[Seen]:
    return [
        Seen(
            entry.method or "",
            entry.name,
            entry.num_requests,
            entry.num_failures,
            entry.get_response_time_percentile(0.95) if entry.response_times else None,
        )
        for _, entry in sorted(environment.stats.entries.items())
    ]


def _show(judged: list[Judged]) -> None:
    table = Table("request", "number", "failed", "p95 ms", "allowed", "")
    for row in judged:
        seen = row.seen
        p95 = "" if seen.p95 is None else f"{seen.p95:.0f}"
        kind = f"{seen.method} {seen.name}"
        table.add_row(
            kind, str(seen.requests), str(seen.failures), p95, f"{row.allowed_p95:.0f}", "; ".join(row.broken) or "good"
        )
    console = Console(width=150)
    console.print(table, markup=False)
    broken = sum(bool(row.broken) for row in judged)
    if not judged:
        console.print("Nothing was asked: this run says nothing.")
    else:
        console.print(f"{broken} kinds of requests are out of their budgets." if broken else "Everything is in budget.")


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(prepare)
events.quitting.add_listener(decide)
