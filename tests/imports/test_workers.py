"""What only real workers can show: that an import goes on when one of them dies."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.cli.up import Process, Up, until
from tests.imports.files import IMPORTS, RUNS, START, archive, fit, packed, row

pytestmark = [pytest.mark.timeout(600)]

FILES = 24
RESUMED_WITHIN = 30.0


@pytest.fixture
def up() -> Iterator[Up]:
    """The whole service with two workers."""
    quick = {"IMPORT_LOOK": "0.5", "RATE_LIMIT_READS": "0"}
    with (
        TemporaryDirectory(prefix="irontrack-test-") as folder,
        Up.running(Path(folder) / "data", "--port", "0", "--workers", "2", **quick) as service,
    ):
        yield service


def readers(up: Up) -> list[Process]:
    return up.named("app.domain.imports.process")


def parent(process: Process) -> int:
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_worker_is_replaced_and_nothing_is_stored_twice(up: Up) -> None:
    starts = [START + timedelta(days=number) for number in range(FILES)]
    metres = [number * 3 for number in range(1500)]
    files = {f"activities/{number}.fit.gz": packed(fit(metres, 1, start)) for number, start in enumerate(starts)}
    rows = [row(number, starts[number], file=name) for number, name in enumerate(files)]
    up.sign_up("runner@example.com")
    with httpx.Client(base_url=up.url, timeout=30) as client:
        body = {"email": "runner@example.com", "password": "Deadlift1!"}
        assert client.post("/api/v1/access/signin", json=body).status_code == 204
        answer = client.post(IMPORTS, files={"files": ("export.zip", archive(rows, files))})
        assert answer.status_code == 202, answer.text
        until(lambda: readers(up), 10, "a process that reads")
        [doomed, *_] = readers(up)
        os.kill(parent(doomed), signal.SIGKILL)
        killed = time.monotonic()
        assert told(client, answer)["status"] == "running"
        until(lambda: told(client, answer)["status"] == "completed", RESUMED_WITHIN, "the end of the import")
        assert time.monotonic() - killed < RESUMED_WITHIN
        ended = told(client, answer)
        assert (ended["stored"], ended["duplicates"], ended["failed"]) == (FILES, 0, 0)
        stored = client.get(RUNS, params={"pageSize": 100}).json()["items"]
        assert sorted(int(run["externalId"]) for run in stored) == list(range(FILES))
        for run in stored:
            assert client.get(f"{RUNS}/{run['id']}/original").content == files[f"activities/{run['externalId']}.fit.gz"]
        until(lambda: not doomed.alive, 10, "the end of the process that reads for the dead worker")


def told(client: httpx.Client, begun: httpx.Response) -> dict[str, object]:
    """How far the import is; asked on a new connection, since the last one may lead to the dead."""
    for _ in range(5):
        try:
            progress: dict[str, object] = client.get(begun.headers["location"]).raise_for_status().json()
        except httpx.TransportError:
            continue
        return progress
    raise AssertionError("nobody answers")
