"""The one table of who comes, how often, and what they do there; and the other one of what they may expect.

All of it at the pace of people. ``--pace 0.1`` shortens every pause to a tenth, so that a short run on a small machine
has enough requests: a time-lapse, in which nobody is ten people, but everybody acts ten times as often.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

__all__ = ("BUDGETS", "FEWEST", "HABITS", "Budget", "Habit", "budget_of")


class Habit(NamedTuple):
    """How somebody uses the service.

    Attributes:
        weight: how many of them there are, compared with the others.
        pause: seconds between two tasks: at least and at most.
        tasks: methods of the class of this name, and how often each is chosen, compared with the others.
    """

    weight: int
    pause: tuple[float, float]
    tasks: Mapping[str, int]


HABITS: Final[Mapping[str, Habit]] = {
    # A set every 88 s on average: 15 s / 0.17.
    "Lifter": Habit(
        55,
        (10, 20),
        {"watch": 70, "log_set": 17, "synchronise": 6, "look_up": 4, "look_back": 2, "take_over": 1},
    ),
    "Trainer": Habit(12, (15, 45), {"edit_unit": 45, "find_exercise": 20, "browse": 15, "write_plan": 10, "grant": 10}),
    "Runner": Habit(15, (20, 60), {"sum_up": 35, "look_back": 25, "upload": 20, "follow_plan": 20}),
    "Visitor": Habit(
        15, (5, 20), {"open_link": 50, "subscribe": 20, "be_turned_away": 15, "read_about_it": 10, "see_health": 5}
    ),
    "Storm": Habit(3, (10, 30), {"come_and_go": 1}),
}


class Budget(NamedTuple):
    """What a kind of request may cost.

    Attributes:
        method: of the requests, or ``*``.
        name: of the requests as the reports call them, with ``*`` for any part.
        p95: milliseconds within which 95 of 100 are answered.
        errors: the part that may fail, unexpected statuses included.
    """

    method: str
    name: str
    p95: float
    errors: float


BUDGETS: Final = (
    # The first one that fits counts. A sign-in is a password hash, which is meant to cost something.
    Budget("POST", "/access/signin", 1500, 0.01),
    Budget("POST", "/runs/import", 1500, 0.01),
    Budget("GET", "* (304)", 150, 0),
    Budget("GET", "/exercises?searchString=*", 400, 0.01),
    Budget("GET", "/sync*", 400, 0.01),
    Budget("GET", "/openapi.json", 500, 0.01),
    Budget("GET", "*", 250, 0.01),
    Budget("*", "*", 500, 0.01),
)
FEWEST: Final = 20
"""Requests from which on a 95th percentile says something; of fewer, only the errors are judged."""


def budget_of(method: str, name: str) -> Budget:
    """What a request may cost."""
    return next(budget for budget in BUDGETS if fnmatchcase(method, budget.method) and fnmatchcase(name, budget.name))
