"""Archives of Strava, imported in the background."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from tests.actors import Actor
from tests.imports.files import IMPORTS, START, Connection, archive, fit, gpx, packed, row, tcx


async def begin(actor: Actor, content: bytes, status: int = 202, **headers: str) -> httpx.Response:
    answer = await actor.client.post(IMPORTS, files={"files": ("export_1.zip", content)}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer


async def finished(actor: Actor, answer: httpx.Response) -> dict[str, Any]:
    """The import when it has ended."""
    while True:
        told = await actor.client.get(answer.headers["location"])
        assert told.status_code == 200, told.text
        progress: dict[str, Any] = told.json()
        assert progress["done"] == sum(progress[name] for name in ("stored", "duplicates", "skipped", "failed"))
        if progress["status"] != "running":
            return progress
        await asyncio.sleep(0.02)


async def test_an_archive_is_imported(athlete: Actor, connection: Connection) -> None:
    day = [START + timedelta(days=number) for number in range(6)]
    files = {
        "activities/1.fit.gz": packed(fit(start=day[0])),
        "activities/2.gpx": gpx(start=day[1], kind=""),
        "activities/3.tcx.gz": packed(tcx(start=day[2])),
        "media/picture.jpg": b"picture",
    }
    rows = [
        row(1, day[0], file="activities/1.fit.gz", description="Slow,\nand steady"),
        row(2, day[1], file="activities/2.gpx", kind="Trail Run"),
        row(3, day[2], file="activities/3.tcx.gz"),
        row(4, day[3]),
        row(5, day[4], kind="Ride", file="activities/5.fit.gz"),
        row(6, day[5], file="activities/6.fit.gz"),
    ]
    answer = await begin(athlete, archive(rows, files))
    begun = answer.json()
    assert (begun["status"], begun["total"], begun["skipped"], begun["failed"]) == ("running", 6, 1, 1)
    assert answer.headers["location"] == f"{IMPORTS}/{begun['id']}"
    ended = await finished(athlete, answer)
    assert (ended["status"], ended["done"], ended["stored"], ended["failed"]) == ("completed", 6, 4, 1)
    assert ended["errors"] == [{"name": "activities/6.fit.gz", "reason": "Its file is not in the archive."}]
    assert ended["finishedAt"] >= ended["createdAt"]
    stored = await connection.fetch("SELECT * FROM runs ORDER BY started_at")
    assert [(run["external_id"], run["source"], float(run["distance_km"])) for run in stored] == [
        (number, "strava", 2.0) for number in "1234"
    ]
    assert [run["started_at"] for run in stored] == day[:4]
    assert stored[0]["notes"] == "Morning run\n\nSlow,\nand steady"
    manual = stored[3]
    assert (manual["duration_seconds"], manual["elapsed_seconds"], manual["avg_heart_rate"]) == (600, 700, 151)
    assert float(manual["elevation_gain_m"]) == 12.5
    assert await connection.fetchval("SELECT count(*) FROM run_original") == 3
    assert await connection.fetch("SELECT place, content FROM run_import_item") == [(4, None)]
