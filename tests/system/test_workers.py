"""What only two real workers behind a real socket can show."""

import json
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest

from tests.cli.up import Up, until

PASSWORD = "Deadlift1!"

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """The whole service with two workers and a limit of 50 reads a minute."""
    with (
        TemporaryDirectory(prefix="irontrack-test-") as folder,
        Up.running(Path(folder) / "data", "--port", "0", "--workers", "2", RATE_LIMIT_READS="50") as service,
    ):
        yield service


def counted(up: Up) -> int:
    """PUT requests that no route answered so far, by the metrics of whichever worker answers; one test sends any."""
    pattern = r'irontrack_requests_total{method="PUT",route="unmatched",status="404"} (\d+)'
    found = re.search(pattern, up.get("/metrics").text)
    return int(found[1]) if found else 0


def signed_in(up: Up) -> httpx.Cookies:
    email = f"{uuid4().hex}@example.com"
    account = {"email": email, "password": PASSWORD, "confirmPassword": PASSWORD}
    assert httpx.post(f"{up.url}/api/v1/access/signup", json=account).status_code == 201
    answer = httpx.post(f"{up.url}/api/v1/access/signin", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 204
    return answer.cookies


def raw(up: Up, request: bytes) -> bytes:
    """Send bytes as they are; all that comes back until the server is done."""
    address = httpx.URL(up.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_metrics_are_those_of_all_workers_also_after_one_was_replaced(up: Up) -> None:
    before = counted(up)
    for _ in range(40):
        assert httpx.put(f"{up.url}/nothing").status_code == 404
    until(lambda: counted(up) == before + 40, 5, "40 more requests in the metrics")
    assert {counted(up) for _ in range(10)} == {before + 40}

    _, *workers = up.named("app.embedded.granian")
    os.kill(workers[0].pid, signal.SIGKILL)
    until(lambda: up.healthy() and not workers[0].alive, 10, "another worker")
    assert counted(up) >= before + 40
    # What the dead one was at is nobody's any more.
    until(lambda: "irontrack_workers 2.0" in up.get("/metrics").text, 10, "two workers in the metrics")
    metrics = up.data / "metrics"
    assert not list(metrics.glob(f"gauge_*_{workers[0].pid}.db"))
    assert list(metrics.glob(f"counter_{workers[0].pid}.db"))


def test_limits_are_those_of_all_workers(up: Up) -> None:
    cookies = signed_in(up)
    answers = [httpx.get(f"{up.url}/api/v1/access/me", cookies=cookies) for _ in range(130)]
    through: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for answer in answers:
        counter = refused if answer.status_code == 429 else through
        counter[answer.headers["x-ratelimit-reset"]] += 1
    assert refused
    assert all(count <= 50 for count in through.values())
    assert any(through[window] >= 45 for window in refused)


def test_a_request_is_found_in_the_log_by_its_id(up: Up) -> None:
    identity = uuid4().hex
    httpx.get(f"{up.url}/health", headers={"X-Request-ID": identity})
    until(lambda: identity in up.said(), 5, "the request in the log")
    (line,) = [json.loads(line) for line in up.said().splitlines() if identity in line]
    assert (line["path"], line["status"], line["address"]) == ("/health", 200, "127.0.0.1")


def test_a_body_in_chunks_is_bounded(up: Up) -> None:
    head = b"POST /api/v1/access/signin HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        answer = raw(up, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 160 + b"0\r\n\r\n")
    except ConnectionError:
        # It hung up while we were still sending, which it may.
        return
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /%00 HTTP/1.1",
        b"GET /%ff%fe HTTP/1.1",
        b"GET /../etc/passwd HTTP/1.1",
        b"BREW / HTTP/1.1",
    ],
)
def test_odd_requests_are_client_errors(up: Up, request_line: bytes) -> None:
    answer = raw(up, request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 4\d\d ", answer)


def test_head_has_the_length_and_no_body(up: Up) -> None:
    answer = raw(up, b"HEAD /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert int(re.findall(rb"content-length: (\d+)", head)[0]) > 1000
    assert body == b""
