"""How long an archive takes: ``python -m loadtests.imports`` makes one of 5,000 FIT files and imports it.

The service runs with two workers, as `litestar up` starts it. While it imports, it is asked for something small again
and again: others must not notice. With ``--kill``, a worker is killed in the middle, and the import must go on within
half a minute.
"""

import gzip
import io
import math
import os
import signal
import statistics
import struct
import sys
import tempfile
import time
import zipfile
from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, track
from rich.table import Table

from tests.cli.up import Up
from tests.imports.files import IMPORTS, START, archive, north, row
from tests.imports.fit import RUNNING, altitude, data, definition, framed, seconds, semicircles

PASSWORD: Final = "Lift-heavy-2day!"
MOST_SECONDS: Final = 900.0
RESUMED_WITHIN: Final = 30.0

console = Console(width=150, soft_wrap=True)


class RunFile:
    """An easy run with a record each second, as a watch stores it, which can be had at any time."""

    def __init__(self, records: int) -> None:
        self._records = bytearray()
        metre = 0.0
        for second in range(records):
            metre += 2.8 + 0.4 * math.sin(second / 60)
            point = {
                "distance": round(metre * 100),
                "heart_rate": 140 + round(15 * math.sin(second / 200)),
                "altitude": altitude(100 + 20 * math.sin(second / 300)),
                "position_lat": semicircles(52 + north(metre)),
                "position_long": semicircles(13 + 0.001 * math.sin(second / 100)),
            }
            self._records += data("record", point)
        self._size = len(self._records) // records

    def at(self, start: datetime) -> bytes:
        """The file of a run that begins then, gzipped as Strava does."""
        begun = seconds(start)
        records = bytearray(self._records)
        for second, place in enumerate(range(1, len(records), self._size)):
            struct.pack_into("<I", records, place, begun + second)
        file_id = {"type": 4, "manufacturer": 1, "serial_number": 1, "time_created": begun}
        session = {"timestamp": begun + len(records) // self._size, "start_time": begun, "sport": RUNNING}
        parts: list[bytes | bytearray] = [
            definition("file_id"),
            data("file_id", file_id),
            definition("record"),
            records,
        ]
        parts += [definition("session"), data("session", session)]
        return gzip.compress(framed(b"".join(parts)), 6)


def make_archive(path: Path, files: int, records: int) -> None:
    """Write the archive, on all cores."""
    starts = [START - timedelta(hours=3 * number) for number in range(files)]
    with zipfile.ZipFile(path, "w") as zipped, ProcessPoolExecutor() as makers:
        rows = []
        making = makers.map(partial(_made, RunFile(records)), starts, chunksize=50)
        for number, content in enumerate(track(making, "Making files", files, console=console)):
            name = f"activities/{number + 1}.fit.gz"
            zipped.writestr(name, content)
            rows.append(row(number + 1, starts[number], file=name))
        with zipfile.ZipFile(io.BytesIO(archive(rows))) as table:
            zipped.writestr("activities.csv", table.read("activities.csv"))


def _made(run: RunFile, start: datetime) -> bytes:
    return run.at(start)


class Trial:
    """An import and what was seen of it.

    Attributes:
        upload: seconds until it had begun.
        seconds: from there to its end.
        pings: seconds that something small took meanwhile.
        cpu: CPU seconds of each process of the service since the upload.
        resident: the most memory of a worker, in megabytes, and of the process that reads.
    """

    def __init__(self, up: Up) -> None:
        self.up = up
        self.upload = self.seconds = 0.0
        self.pings: list[float] = []
        self.cpu: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self.resident = {"worker": 0.0, "reader": 0.0}
        self._client = httpx.Client(base_url=up.url, timeout=900)

    def sign_up(self) -> None:
        """Become somebody."""
        body = {"email": "runner@example.com", "password": PASSWORD, "confirmPassword": PASSWORD}
        self._client.post("/api/v1/access/signup", json=body).raise_for_status()
        self._client.post(
            "/api/v1/access/signin", json={"email": body["email"], "password": PASSWORD}
        ).raise_for_status()

    def run(self, path: Path, kill_at: float | None) -> dict[str, Any]:
        """Import an archive; what the service says at the end."""
        self._before = {process.pid: cpu_seconds(process.pid) for process in self.up.processes()}
        began = time.monotonic()
        with path.open("rb") as file:
            answer = self._client.post(IMPORTS, files={"files": ("export.zip", file)})
        answer.raise_for_status()
        self.upload = time.monotonic() - began
        began = time.monotonic()
        with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as shown:
            bar = shown.add_task("Importing", total=answer.json()["total"])
            while True:
                told = self._look(answer.headers["location"])
                shown.update(bar, completed=told["done"])
                if told["status"] != "running":
                    self.seconds = time.monotonic() - began
                    return told
                if kill_at is not None and told["done"] >= kill_at * told["total"]:
                    kill_at = None
                    self._kill()
                time.sleep(0.2)

    def count(self) -> int:
        """The runs that there are."""
        number: int = self._client.get("/api/v1/analytics/summary").raise_for_status().json()["totalRuns"]
        return number

    def _look(self, path: str) -> dict[str, Any]:
        began = time.monotonic()
        told: dict[str, Any] = self._client.get(path).raise_for_status().json()
        self.pings.append(time.monotonic() - began)
        for process in self.up.processes():
            used = cpu_seconds(process.pid) - self._before.get(process.pid, 0.0)
            self.cpu[process.pid] = max(self.cpu.get(process.pid, 0.0), used)
            kind = "reader" if "imports.process" in process.command else "worker"
            if kind == "reader" or "app.embedded.granian" in process.command:
                self.resident[kind] = max(self.resident[kind], resident_megabytes(process.pid))
        return told

    def _kill(self) -> None:
        readers = [process for process in self.up.processes() if "imports.process" in process.command]
        os.kill(parent(readers[0].pid), signal.SIGKILL)
        console.print("A worker was killed.")


def resident_megabytes(pid: int) -> float:
    """The resident memory of a process, in units of 10^6 bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:")), 0.0)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parent(pid: int) -> int:
    """The process that started another one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def main() -> int:
    """Measure.

    Returns:
        0 when all targets are met.
    """
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--records", type=int, default=3600, help="records of each file, one each second")
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="irontrack-imports-") as folder:
        path = Path(folder) / "export.zip"
        make_archive(path, options.files, options.records)
        limits = {"RATE_LIMIT_READS": "0", "LOG_LEVEL": "WARNING"}
        with Up.running(Path(folder) / "data", "--port", "0", "--workers", "2", **limits) as up:
            trial = Trial(up)
            trial.sign_up()
            told = trial.run(path, 0.4 if options.kill else None)
            runs = trial.count()
        allowed = MOST_SECONDS * options.files / 5000 + (RESUMED_WITHIN if options.kill else 0)
        show(trial, told, runs, path.stat().st_size / 1e6, allowed)
    is_whole = told["stored"] == runs == options.files
    return 0 if is_whole and trial.upload + trial.seconds <= allowed else 1


def show(trial: Trial, told: dict[str, Any], runs: int, megabytes: float, allowed: float) -> None:
    """Print what was measured."""
    table = Table("what", "measured", "target")
    table.add_row("archive", f"{megabytes:.0f} MB, {told['total']:,} activities", "")
    table.add_row("stored", f"{told['stored']:,}; runs there: {runs:,}; failed {told['failed']}", "each once")
    table.add_row("upload until 202", f"{trial.upload:.1f} s", "")
    table.add_row("in the background", f"{trial.seconds:.1f} s", f"all within {allowed:.0f} s")
    each = sum(trial.cpu.values()) / told["total"]
    table.add_row("CPU of the whole service", f"{each * 1e3:.0f} ms a run", f"{2e3 * MOST_SECONDS / 5000:.0f} ms")
    quantiles = statistics.quantiles(trial.pings, n=100) if len(trial.pings) > 1 else [0.0] * 99
    table.add_row("progress meanwhile", f"p50 {quantiles[49] * 1e3:.0f} ms, p99 {quantiles[98] * 1e3:.0f} ms", "")
    table.add_row("memory of a worker", f"{trial.resident['worker']:.0f} MB", "")
    table.add_row("memory of a reading process", f"{trial.resident['reader']:.0f} MB", "")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
