"""Archives of Strava, imported in the background."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.imports.archive import Member
from app.domain.imports.workshop import Workshop
from app.domain.system.services import sweep
from app.plugin import IronTrackPlugin
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.db.rows import Rows
from tests.imports.files import COLUMNS, IMPORTS, START, Connection, archive, fit, gpx, packed, row, send, tcx
from tests.service import Service


async def begin(actor: Actor, content: bytes, status: int = 202, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
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


async def test_the_same_archive_again_stores_nothing(athlete: Actor, connection: Connection) -> None:
    files = {"activities/1.fit.gz": packed(fit()), "activities/2.gpx": gpx(start=START + timedelta(days=1))}
    rows = [
        row(1, file="activities/1.fit.gz"),
        row(2, START + timedelta(days=1), file="activities/2.gpx"),
        row(3, START + timedelta(days=2)),
    ]
    first = await finished(athlete, await begin(athlete, archive(rows, files)))
    again = await finished(athlete, await begin(athlete, archive(rows, files, folder="export_1/")))
    assert (first["stored"], again["stored"], again["duplicates"]) == (3, 0, 3)
    assert await connection.fetchval("SELECT count(*) FROM runs") == 3
    assert await connection.fetchval("SELECT count(*) FROM run_import_item") == 0
    listed = (await athlete.client.get(IMPORTS)).json()
    assert (listed["items"], listed["total"]) == ([again, first], 2)


async def test_what_was_sent_by_hand_is_recognised(athlete: Actor, connection: Connection) -> None:
    await send(athlete, ("a.tcx", tcx()))
    rows = [row(1, file="activities/1.fit.gz")]
    ended = await finished(athlete, await begin(athlete, archive(rows, {"activities/1.fit.gz": packed(fit())})))
    assert (ended["stored"], ended["duplicates"]) == (0, 1)
    assert await connection.fetchval("SELECT source FROM runs") == "tcx"


async def test_one_bad_run_does_not_stop_the_others(athlete: Actor, connection: Connection) -> None:
    files = {
        "activities/1.fit.gz": packed(fit()[:-9]),
        "activities/2.gpx.gz": packed(bytes(200_000_000)),
        "activities/3.gpx": gpx(),
        "passwd": b"root",
    }
    rows = [
        row(1, file="activities/1.fit.gz"),
        row(2, file="activities/2.gpx.gz"),
        row(3, file="activities/3.gpx"),
        row(4, file="../../../etc/passwd"),
        row(5, file="/etc/passwd"),
        ["", *row(6)[1:]],
        ["7", "yesterday", *row(7)[2:]],
        row(8, distance="40"),
    ]
    ended = await finished(athlete, await begin(athlete, archive(rows, files)))
    assert (ended["status"], ended["total"], ended["stored"], ended["failed"]) == ("completed", 8, 1, 7)
    assert ended["errors"] == [
        {"name": "activities/1.fit.gz", "reason": "The file is cut off."},
        {"name": "activities/2.gpx.gz", "reason": "It unpacks to more than 64 MB."},
        {"name": "../../../etc/passwd", "reason": "Its file is not in the archive."},
        {"name": "/etc/passwd", "reason": "Its file is not in the archive."},
        {"name": "Morning run", "reason": "Its row in activities.csv has no number."},
        {"name": "Morning run", "reason": "Its date can't be read: yesterday."},
        {"name": "Morning run", "reason": "It is shorter than 50 m."},
    ]
    assert await connection.fetchval("SELECT count(*) FROM run_import_item WHERE content IS NOT NULL") == 0


async def test_an_archive_without_runs_is_done_at_once(athlete: Actor) -> None:
    begun = (await begin(athlete, archive([row(1, kind="Ride"), row(2, kind="Weight Training")]))).json()
    assert (begun["status"], begun["total"], begun["done"], begun["skipped"]) == ("completed", 2, 2, 2)


def _zip(name: str, content: bytes, flags: int = 0) -> bytes:
    sent = io.BytesIO()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(name, content)
    damaged = bytearray(sent.getvalue())
    damaged[6] |= flags
    damaged[damaged.rindex(b"PK\x01\x02") + 8] |= flags
    return bytes(damaged)


def _with_a_broken_entry(content: bytes, name: str) -> bytes:
    """The archive, with a first block of an entry that is of no kind that deflate knows."""
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        start = zipped.getinfo(name).header_offset + 30 + len(name)
    return content[:start] + b"\xff" + content[start + 1 :]


async def test_a_broken_file_does_not_stop_the_others(athlete: Actor) -> None:
    files = {"activities/1.gpx": gpx(), "activities/2.gpx": gpx(start=START + timedelta(days=1))}
    rows = [row(1, file="activities/1.gpx"), row(2, START + timedelta(days=1), file="activities/2.gpx")]
    sent = _with_a_broken_entry(archive(rows, files), "activities/1.gpx")
    ended = await finished(athlete, await begin(athlete, sent))
    assert (ended["stored"], ended["failed"]) == (1, 1)
    assert ended["errors"] == [{"name": "activities/1.gpx", "reason": "It is damaged in the archive."}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_with_a_broken_entry(archive([row(1)]), "activities.csv"), "a damaged one"),
        (b"", "no zip archive"),
        (b"PK\x03\x04 and nothing more", "no zip archive"),
        (archive([row(1)])[:-10], "no zip archive"),
        (_zip("other.csv", b""), "has no activities.csv"),
        (_zip("activities.csv", b""), "no column Activity ID"),
        (_zip("activities.csv", b"Aktivit\xc3\xa4ts-ID,Datum\n"), "English"),
        (_zip("activities.csv", b"\xff\xfe"), "not in UTF-8"),
        (_zip("activities.csv", b'Activity ID,Activity Date,Activity Type,Filename\n1,"2'), "damaged"),
        (_zip("activities.csv", b"x", flags=1), "encrypted"),
        (_zip("activities.csv", bytes(100_000_000)), "more than 64 MB"),
    ],
)
async def test_what_is_no_archive_is_refused(
    athlete: Actor, connection: Connection, content: bytes, reason: str
) -> None:
    answer = await begin(athlete, content, 422)
    assert broken_fields(answer) == {"files": "rule"}
    assert reason in answer.json()["details"][0]["message"]
    assert await connection.fetchval("SELECT count(*) FROM run_import") == 0


async def test_an_older_archive_has_kilometres_alone(athlete: Actor, connection: Connection) -> None:
    columns = ["Activity ID", "Activity Date", "Activity Type", "Filename", "Elapsed Time", "Distance"]
    old = ["1", "Jun 1, 2018, 6:00:00\u202fAM", "Run", "", "600", "2.01"]
    ended = await finished(athlete, await begin(athlete, archive([old, []], columns=columns)))
    assert (ended["total"], ended["stored"]) == (1, 1)
    [run] = await connection.fetch("SELECT distance_km::float8, duration_seconds FROM runs")
    assert tuple(run) == (2.01, 600)


async def test_where_the_plain_number_is_empty_the_rounded_one_counts(athlete: Actor, connection: Connection) -> None:
    ended = await finished(athlete, await begin(athlete, archive([row(1, distance=" ")])))
    assert ended["stored"] == 1
    assert await connection.fetchval("SELECT distance_km::float8 FROM runs") == 2.0


async def test_columns_may_stand_in_another_order(athlete: Actor, connection: Connection) -> None:
    order = sorted(range(len(COLUMNS)), key=lambda place: COLUMNS[place])
    cells = row(1)
    cells[9] = ""  # The plain elapsed time; the first column of that name has 700.
    content = archive([[cells[place] for place in order]], columns=[COLUMNS[place] for place in order])
    assert (await finished(athlete, await begin(athlete, content)))["stored"] == 1
    [run] = await connection.fetch("SELECT distance_km::float8, duration_seconds, elapsed_seconds FROM runs")
    assert tuple(run) == (2.0, 600, 700)


async def test_an_import_belongs_to_its_user(athlete: Actor, other_athlete: Actor) -> None:
    answer = await begin(athlete, archive([row(1)]))
    path = answer.headers["location"]
    problem(await other_athlete.client.get(path), 404)
    problem(await other_athlete.client.delete(path), 404)
    assert (await other_athlete.client.get(IMPORTS)).json()["items"] == []
    assert (await finished(athlete, answer))["stored"] == 1
    gone = await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
    assert gone.status_code == 204


async def test_a_key_begins_one_import(athlete: Actor, connection: Connection) -> None:
    content = archive([row(1)])
    answers = [await begin(athlete, content, key="once") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert answers[1].headers["location"] == answers[0].headers["location"]
    await finished(athlete, answers[0])
    assert await connection.fetchval("SELECT count(*) FROM run_import") == 1


class TestWaiting:
    """Imports that nobody goes on with."""

    @pytest.fixture
    async def waiting(self, athlete: Actor, connection: Connection) -> httpx.Response:
        """One that has begun and has all before it; a lease of nobody keeps it so."""
        rows, files = [row(1, file="activities/1.gpx")], {"activities/1.gpx": gpx()}
        async with connection.transaction():
            # Whoever wants to take of it waits for the end of the transaction.
            await connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
            answer = await begin(athlete, archive(rows, files))
            await connection.execute(
                "UPDATE run_import_item SET lease = gen_random_uuid(), leased_until = now() + interval '1 hour'"
            )
        return answer

    async def test_one_runs_at_a_time(self, athlete: Actor, waiting: httpx.Response) -> None:
        problem(await begin(athlete, archive([row(2)]), 409), 409)

    async def test_a_cancelled_one_stays_in_the_list(
        self, athlete: Actor, waiting: httpx.Response, connection: Connection
    ) -> None:
        path = waiting.headers["location"]
        assert (await athlete.client.delete(path)).status_code == 204
        told = (await athlete.client.get(path)).json()
        assert (told["status"], told["done"], told["stored"]) == ("cancelled", 0, 0)
        assert told["finishedAt"]
        assert await connection.fetchval("SELECT count(*) FROM run_import_item") == 0
        assert (await athlete.client.delete(path)).status_code == 204
        problem(await athlete.client.get(path), 404)
        assert await connection.fetchval("SELECT count(*) FROM runs") == 0


class SlowWorkshop(Workshop):
    """One that reads an archive's files when it is told to.

    Attributes:
        begun: whether it was asked for files a second time.
        go_on: whether it may answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._asked = 0

    async def read_members(self, path: str, names: list[str]) -> list[Member]:
        self._asked += 1
        if self._asked == 2:
            self.begun.set()
            await self.go_on.wait()
        return await super().read_members(path, names)


class TestReceiving:
    """An archive that is being sent."""

    # More than fit into one transaction.
    COUNT = 250

    @pytest.fixture
    async def workshop(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlowWorkshop]:
        workshop = SlowWorkshop()
        monkeypatch.setattr(service.litestar.plugins.get(IronTrackPlugin).resources, "workshop", workshop)
        yield workshop
        await workshop.close()

    @pytest.fixture
    def content(self) -> bytes:
        starts = [START + timedelta(days=number) for number in range(self.COUNT)]
        files = {f"activities/{number}.gpx": gpx(start=start) for number, start in enumerate(starts)}
        return archive([row(number, starts[number], file=name) for number, name in enumerate(files)], files)

    async def test_nobody_waits_for_it(
        self, athlete: Actor, connection: Connection, workshop: SlowWorkshop, content: bytes
    ) -> None:
        sending = asyncio.create_task(begin(athlete, content))
        await workshop.begun.wait()
        # Had it been one transaction, nobody would see this.
        received = await connection.fetchval("SELECT count(*) FROM run_import_item")
        assert 0 < received < self.COUNT
        import_id = await connection.fetchval("SELECT id FROM run_import WHERE status = 'receiving'")
        assert (await athlete.client.get(IMPORTS)).json()["total"] == 0
        problem(await athlete.client.get(f"{IMPORTS}/{import_id}"), 404)
        problem(await athlete.client.delete(f"{IMPORTS}/{import_id}"), 404)
        assert await connection.fetchval("SELECT count(*) FROM runs") == 0
        workshop.go_on.set()
        answer = await sending
        assert answer.json()["id"] == str(import_id)
        path = answer.headers["location"]
        assert (await athlete.client.delete(path)).status_code == 204

    async def test_of_two_at_once_one_begins(
        self, athlete: Actor, connection: Connection, workshop: SlowWorkshop, content: bytes
    ) -> None:
        sending = asyncio.create_task(athlete.client.post(IMPORTS, files={"files": ("a.zip", content)}))
        await workshop.begun.wait()
        other = await Rows(connection).add("run_import", user_id=athlete.id, total=1)
        workshop.go_on.set()
        problem(await sending, 409)
        assert await connection.fetchval("SELECT array_agg(id) FROM run_import") == [other["id"]]
        assert await connection.fetchval("SELECT count(*) FROM run_import_item") == 0

    async def test_what_a_dead_worker_has_left_is_cleared_away(
        self, service: Service, connection: Connection, athlete: Actor
    ) -> None:
        rows = Rows(connection)
        day, hour = datetime.now(UTC) - timedelta(days=1, minutes=1), datetime.now(UTC) - timedelta(hours=1)
        left = await rows.add("run_import", user_id=athlete.id, status="receiving", created_at=day)
        young = await rows.add("run_import", user_id=athlete.id, status="receiving", created_at=hour)
        await rows.add("run_import_item", import_id=left["id"], place=0)
        resources = service.litestar.plugins.get(IronTrackPlugin).resources
        async with resources.transactions.begin() as session:
            await sweep(session)
        assert await connection.fetchval("SELECT array_agg(id) FROM run_import") == [young["id"]]
        assert await connection.fetchval("SELECT count(*) FROM run_import_item") == 0
