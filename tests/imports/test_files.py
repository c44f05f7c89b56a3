"""Files of runs, sent by their runner."""

import pytest

from tests.actors import Actor
from tests.imports.files import RUNS, Connection, fit, gpx, packed, send, tcx

KINDS = {"gpx": gpx, "tcx": tcx, "fit": fit}


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_becomes_a_run(athlete: Actor, connection: Connection, kind: str, is_packed: bool) -> None:
    content = packed(KINDS[kind]()) if is_packed else KINDS[kind]()
    name = f"Läufe/morning.{kind}" + (".gz" if is_packed else "")
    outcome = await send(athlete, (name, content))
    assert (outcome["stored"], outcome["duplicates"], outcome["skipped"], outcome["refused"]) == (1, 0, 0, 0)
    [file] = outcome["files"]
    assert (file["name"], file["format"], file["status"]) == (name.removeprefix("Läufe/"), kind, "stored")
    [stored] = await connection.fetch("SELECT * FROM runs")
    assert str(stored["id"]) == file["runId"]
    assert (stored["user_id"], stored["source"], float(stored["distance_km"])) == (athlete.id, kind, 2.0)
    assert (stored["duration_seconds"], stored["elapsed_seconds"], stored["avg_heart_rate"]) == (600, 600, 150)
    original = await athlete.client.get(f"{RUNS}/{file['runId']}/original")
    assert original.status_code == 200
    assert original.content == content
