"""What is measured: scenarios, setups of the service, and machines."""

from typing import Final

from msgspec import Struct

from loadtests.weakbox import NORMAL, Limits

SHARES: Final = (0.2, 0.4, 0.7, 0.9)
"""Of the capacity, at which latencies are measured."""
COMPARED: Final = 0.4
"""Of the first setup's capacity, at which all the others are measured."""


class Scenario(Struct, frozen=True):
    """What people do.

    Attributes:
        is_compared: in each setup, not only in the first one.
        connections: that ask for as much as they can carry, to find the capacity.
        stretch: how much longer it is measured, where there are few requests a second.
    """

    name: str
    what: str
    is_compared: bool = False
    connections: int = 32
    stretch: float = 1.0


class Setup(Struct, frozen=True):
    """How requests reach the application, and how that reaches PostgreSQL.

    Attributes:
        service: what is started, by its name in `SERVICES`.
        way: ``proxy``, ``sockets`` of all nodes, ``socket`` of the first node, or ``direct`` to what the service tells.
        beside: the setup that differs in one thing only; the first one has none.
    """

    name: str
    what: str
    service: str
    way: str
    beside: str = ""


SCENARIOS: Final = (
    Scenario("me", "`GET /access/me`: the least a signed-in request can do", is_compared=True),
    Scenario("session", "`GET /training-sessions/{id}`: a session of 5 exercises with their sets", is_compared=True),
    Scenario("sessions", "`GET /training-sessions?cursor=`: the newest 20 of some hundred"),
    Scenario("exercise", "`GET /exercises/{id}`: of the catalogue"),
    Scenario("set", "`POST …/sets`: a set is logged, and durable", is_compared=True),
    Scenario("lifter", "of 10 requests 3 log a set, 3 read the session, 2 an exercise, 1 the list, 1 who one is"),
    Scenario("sign-in", "`POST /access/signin`: Argon2id with 19 MiB, the default", connections=8, stretch=2),
)
UNLIMITED: Final = ("--rate", "1000000", "--burst", "1000000", "--connections", "60000")
SERVICES: Final = {
    "stack": ("stack", "up", "--workers", "2", *UNLIMITED),
    "stack-no-pgbouncer": ("stack", "up", "--workers", "2", "--no-pgbouncer", *UNLIMITED),
    "stack-4": ("stack", "up", "--workers", "4", *UNLIMITED),
    "up-socket": ("up", "--workers", "2"),
    "up-tcp": ("up", "--workers", "2"),
}
"""Command lines of litestar. Those of `up` get their address when they are started."""
BASE: Final = Setup("stack", "as shipped: proxy, two workers on Unix sockets, PgBouncer", "stack", "proxy")
SETUPS: Final = (
    BASE,
    Setup("no proxy", "the same, but clients on the nodes' sockets", "stack", "sockets", "stack"),
    Setup("one worker", "the same, but the first node alone is asked", "stack", "socket", "no proxy"),
    Setup("four workers", "two in each node, clients on the nodes' sockets", "stack-4", "sockets", "no proxy"),
    Setup("no PgBouncer", "as shipped, but workers connect to PostgreSQL", "stack-no-pgbouncer", "proxy", "stack"),
    Setup(
        "socket",
        "`litestar up --uds`: clients on the workers' Unix socket, no proxy, no PgBouncer",
        "up-socket",
        "direct",
    ),
    Setup("TCP", "`litestar up`: the same on TCP over loopback", "up-tcp", "direct", "socket"),
)
BOXES: Final[dict[str, Limits]] = {"normal": NORMAL, "weak": Limits()}


def scenarios_of(setup: Setup) -> list[Scenario]:
    """Those that are measured in a setup."""
    return [scenario for scenario in SCENARIOS if setup == BASE or scenario.is_compared]
