"""Whether a run was good enough: what was seen, against the table of budgets."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from loadtests.crowd.habits import FEWEST, budget_of

__all__ = ("Judged", "Seen", "judge")


class Seen(Struct, frozen=True):
    """What was seen of one kind of request.

    Attributes:
        p95: milliseconds; None when none was answered.
    """

    method: str
    name: str
    requests: int
    failures: int
    p95: float | None


class Judged(Struct, frozen=True):
    """The same, with what is allowed and what is wrong with it.

    Attributes:
        allowed_p95: milliseconds.
        allowed_errors: the part that may fail.
        broken: a sentence for each limit that is exceeded.
    """

    seen: Seen
    allowed_p95: float
    allowed_errors: float
    broken: list[str]


def judge(everything: Iterable[Seen], slack: float = 1.0) -> list[Judged]:
    """Judge every kind of request.

    Args:
        everything: one entry for each.
        slack: by which the allowed times are multiplied, on a machine that is slower than usual.
    """
    judged = []
    for seen in everything:
        budget = budget_of(seen.method, seen.name)
        allowed = budget.p95 * slack
        judged.append(Judged(seen, allowed, budget.errors, list(_broken(seen, allowed, budget.errors))))
    return judged


def _broken(seen: Seen, p95: float, errors: float) -> Iterator[str]:
    if seen.failures > errors * seen.requests:
        yield f"{seen.failures} of {seen.requests} failed, {errors:.1%} may"
    if seen.p95 is not None and seen.requests >= FEWEST and seen.p95 > p95:
        yield f"p95 is {seen.p95:.0f} ms, {p95:.0f} ms are allowed"
