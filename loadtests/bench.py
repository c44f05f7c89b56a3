"""What a request costs: ``python -m loadtests.bench`` starts the service and a bare handler and measures both.

CPU per request is the worker's own, from /proc: on a shared machine it is steady where requests per second are not. The
rounds of the two servers take turns, and the median of each counts.
"""

import json
import statistics
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import httpx
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from loadtests.client import Plan
from loadtests.processes import Worker, bare_handler, finish, run, service, start

PASSWORD = "Lift-heavy-2day!"
CHEAP_HASHES = {"ARGON2_MEMORY_KIB": "8", "ARGON2_TIME_COST": "1"}
NO_LIMITS = {"RATE_LIMIT_READS": "0", "RATE_LIMIT_WRITES": "0", "RATE_LIMIT_SIGN_IN": "0"}
COMMON = {"LOG_LEVEL": "WARNING", "PUBLIC_URL": "http://127.0.0.1:8000"}
"""The issuer of tokens stays the same over restarts on other ports."""

A_LIST = "category=strength&equipment=6&difficultyLevel=beginner&difficultyLevel=intermediate"
A_SEARCH = "searchString=dumbbel%20pres"

MAX_RESIDENT_MEGABYTES = 120.0
MAX_PING_P99 = 0.050

console = Console(width=150, soft_wrap=True)


class Cost(Struct, frozen=True):
    """What one server made of a load.

    Attributes:
        rate: answers a second.
        cpu: CPU seconds of the worker for each.
        busy: how busy the client was; near 1 the rate is the client's, not the server's.
    """

    rate: float
    cpu: float
    busy: float


class Comparison(Struct, frozen=True):
    """A request to the service beside the bare handler with an answer of the same size.

    Attributes:
        target: the least that bare cost / our cost may be.
    """

    name: str
    size: int
    bare: Cost
    ours: Cost
    target: float

    @property
    def ratio(self) -> float:
        """CPU of the bare handler for each of ours."""
        return self.bare.cpu / self.ours.cpu

    @property
    def rate_ratio(self) -> float:
        """Our requests per second for each of the bare handler's."""
        return self.ours.rate / self.bare.rate


def get(path: str, token: str = "") -> bytes:
    """A GET request as a browser would send it."""
    cookie = f"Cookie: access_token={token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n{cookie}\r\n".encode()


def post(path: str, body: object) -> bytes:
    """A POST request with a JSON body."""
    encoded = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}"
    )
    return head.encode() + b"\r\n\r\n" + encoded


def sign_up(worker: Worker, users: int) -> list[str]:
    """Make users and sign them in; their access tokens."""
    tokens = []
    with httpx.Client(base_url=f"http://127.0.0.1:{worker.port}/api/v1") as client:
        for number in range(users):
            email = f"bench-{number}@example.com"
            body = {"email": email, "password": PASSWORD, "confirmPassword": PASSWORD}
            client.post("/access/signup", json=body).raise_for_status()
            client.post("/access/signin", json={"email": email, "password": PASSWORD}).raise_for_status()
            tokens.append(client.cookies["access_token"])
            client.cookies.clear()
    return tokens


def measure(worker: Worker, plan: Plan) -> Cost:
    """One round.

    Raises:
        RuntimeError: something else than 200 came back.
    """
    before = worker.cpu_seconds()
    outcome = run(plan)
    used = worker.cpu_seconds() - before
    if set(outcome.statuses) != {200}:
        raise RuntimeError(f"Expected 200 alone, got {outcome.statuses}.")
    return Cost(outcome.answers / outcome.seconds, used / outcome.answers, outcome.busy)


def median(costs: Iterable[Cost]) -> Cost:
    """Each figure's median."""
    rounds = list(costs)
    return Cost(
        statistics.median(cost.rate for cost in rounds),
        statistics.median(cost.cpu for cost in rounds),
        statistics.median(cost.busy for cost in rounds),
    )


def compare(
    name: str,
    ours: Worker,
    bare: Worker,
    requests: list[bytes],
    target: float,
    rounds: int,
    seconds: float,
    most: int | None = None,
) -> Comparison:
    """Send the same load to both, in turns.

    Args:
        most: how often each request may be sent to us in all; None when it does not matter.
    """
    # Every user once, so that the worker knows them; and the size of the answer.
    run(Plan(port=ours.port, requests=requests, connections=4, seconds=60, once=True))
    path = requests[0].split(b" ")[1].decode()
    cookie = requests[0].partition(b"Cookie: ")[2].partition(b"\r")[0].decode()
    size = len(httpx.get(f"http://127.0.0.1:{ours.port}{path}", headers={"Cookie": cookie}).raise_for_status().content)
    ours_plan = Plan(port=ours.port, requests=requests, seconds=seconds)
    if most is not None:
        ours_plan = Plan(port=ours.port, requests=requests * (most // rounds), seconds=60, once=True)
    bare_plan = Plan(port=bare.port, requests=[get(f"/{size}")], seconds=seconds)
    bare_costs, our_costs = [], []
    for _ in range(rounds):
        bare_costs.append(measure(bare, bare_plan))
        our_costs.append(measure(ours, ours_plan))
    return Comparison(name, size, median(bare_costs), median(our_costs), target)


def an_exercise(worker: Worker, token: str) -> str:
    """The path of an exercise of the catalogue."""
    answer = httpx.get(
        f"http://127.0.0.1:{worker.port}/api/v1/exercises?pageSize=1", headers={"Cookie": f"access_token={token}"}
    )
    return f"/api/v1/exercises/{answer.raise_for_status().json()['items'][0]['id']}"


def sign_ups_and_pings(worker: Worker, seconds: float) -> tuple[float, float, float, dict[int, int]]:
    """Eight clients sign up while another one pings: its median and 99th percentile, sign-ups a second, statuses."""
    numbers = count()
    bodies = (
        {"email": f"wave-{next(numbers)}@example.com", "password": PASSWORD, "confirmPassword": PASSWORD}
        for _ in range(int(seconds * 400))
    )
    wave = [post("/api/v1/access/signup", body) for body in bodies]
    crowd = start(Plan(port=worker.port, requests=wave, connections=8, seconds=seconds, once=True))
    pings = run(Plan(port=worker.port, requests=[get("/ping")], connections=1, seconds=seconds, pause=0.005))
    done = finish(crowd)
    latencies = sorted(pings.latencies)
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]
    return statistics.median(latencies), p99, done.answers / done.seconds, done.statuses


def show(comparisons: list[Comparison]) -> None:
    """Print the table."""
    table = Table(
        "request",
        "bytes",
        "bare req/s",
        "req/s",
        "bare CPU µs",
        "CPU µs",
        "CPU ratio",
        "rate ratio",
        "target",
        "client busy",
    )
    for row in comparisons:
        table.add_row(
            row.name,
            str(row.size),
            f"{row.bare.rate:,.0f}",
            f"{row.ours.rate:,.0f}",
            f"{row.bare.cpu * 1e6:.0f}",
            f"{row.ours.cpu * 1e6:.0f}",
            f"{row.ratio:.2f}",
            f"{row.rate_ratio:.2f}",
            f"{row.target:.2f}",
            f"{row.bare.busy:.0%} / {row.ours.busy:.0%}",
        )
    console.print(table)


def bench(users: int, rounds: int, seconds: float) -> bool:
    """Measure everything and print it; whether every target was met."""
    with tempfile.TemporaryDirectory(prefix="irontrack-bench-") as folder, bare_handler() as bare:
        data = Path(folder)
        comparisons = []
        with service(data, **CHEAP_HASHES, **NO_LIMITS, **COMMON) as free:
            tokens = sign_up(free, users)
            me = [get("/api/v1/access/me", token) for token in tokens]
            comparisons.append(compare("GET /access/me, no limits", free, bare, me[:16], 0.40, rounds, seconds))
            for name, path, target in (
                ("GET /exercises/{id}", an_exercise(free, tokens[0]), 0.20),
                ("GET /catalogs/muscle-groups", "/api/v1/catalogs/muscle-groups", 0.12),
                ("GET /exercises, 20 of strength with dumbbells", f"/api/v1/exercises?{A_LIST}", 0.03),
                ("GET /exercises/{id}/muscles.svg", f"{an_exercise(free, tokens[0])}/muscles.svg", 0.10),
                ("GET /exercises, 20 that match a search", f"/api/v1/exercises?{A_SEARCH}", 0.02),
            ):
                requests = [get(path, token) for token in tokens[:16]]
                comparisons.append(compare(f"{name}, no limits", free, bare, requests, target, rounds, seconds))
            resident = [free.resident_megabytes()]
        with service(data, **COMMON) as limited:
            comparisons.append(
                compare("GET /access/me, default limits", limited, bare, me, 0.25, rounds, seconds, most=96)
            )
            resident.append(limited.resident_megabytes())
        with service(data, **NO_LIMITS, **COMMON) as hashing:
            median_ping, p99, rate, statuses = sign_ups_and_pings(hashing, 4 * seconds)
            resident.append(hashing.resident_megabytes())
    show(comparisons)
    console.print(
        f"while 8 clients sign up ({rate:.0f}/s, {statuses}): /ping median {median_ping * 1000:.1f} ms,"
        f" p99 {p99 * 1000:.1f} ms (target < {MAX_PING_P99 * 1000:.0f})"
    )
    console.print(f"resident memory of the worker: {max(resident):.0f} MB (target < {MAX_RESIDENT_MEGABYTES:.0f})")
    return (
        all(row.ratio >= row.target for row in comparisons)
        and p99 < MAX_PING_P99
        and max(resident) < MAX_RESIDENT_MEGABYTES
    )


def main() -> None:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=800, help="accounts to spread the load over; limits count each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    options = parser.parse_args()
    if not bench(options.users, options.rounds, options.seconds):
        console.print("A target was missed.")
        sys.exit(1)


if __name__ == "__main__":
    main()
