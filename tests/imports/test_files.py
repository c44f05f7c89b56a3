"""Files of runs, sent by their runner."""

import gzip
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.db.base import uuid7
from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.conftest import MakeActor, MakeApp
from tests.db.rows import Rows
from tests.imports.files import FILES, IMPORTS, RUNS, START, Connection, fit, gpx, gpx_of, packed, send, tcx
from tests.imports.fit import CYCLING

DAY_AFTER = START + timedelta(days=1)
KINDS: dict[str, Callable[..., bytes]] = {"gpx": gpx, "tcx": tcx, "fit": fit}


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


@pytest.mark.parametrize("others", [("gpx", "tcx", "fit"), ("fit", "gpx", "tcx"), ("tcx", "fit", "gpx")])
async def test_the_same_activity_is_recognised_in_whatever_format(
    athlete: Actor, connection: Connection, others: tuple[str, str, str]
) -> None:
    first, *rest = others
    run_id = (await send(athlete, (first, KINDS[first]())))["files"][0]["runId"]
    for kind in (first, *rest):
        again = await send(athlete, (kind, KINDS[kind]((0, 1009, 2018))), status=200)
        assert (again["stored"], again["duplicates"]) == (0, 1)
        assert (again["files"][0]["status"], again["files"][0]["runId"]) == ("duplicate", run_id)
    assert await connection.fetchval("SELECT count(*) FROM runs") == 1
    assert await connection.fetchval("SELECT count(*) FROM run_original") == 1


async def test_the_same_activity_twice_at_once(athlete: Actor, connection: Connection) -> None:
    outcome = await send(athlete, ("a.gpx", gpx()), ("b.tcx", tcx()), ("c.gpx", gpx((0, 1500, 3000))))
    assert [file["status"] for file in outcome["files"]] == ["stored", "duplicate", "duplicate"]
    assert outcome["files"][1]["runId"] == outcome["files"][0]["runId"]
    assert await connection.fetchval("SELECT count(*) FROM runs") == 1


async def test_another_second_or_length_is_another_run(athlete: Actor) -> None:
    later = START + timedelta(seconds=1)
    files = [("a.gpx", gpx()), ("b.gpx", gpx(start=later)), ("c.tcx", tcx((0, 1000, 2050)))]
    assert (await send(athlete, *files))["stored"] == 3


async def test_what_others_have_is_no_duplicate(athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
    mine = await send(athlete, ("a.gpx", gpx()))
    theirs = await send(other_athlete, ("a.gpx", gpx()))
    assert theirs["files"][0]["status"] == "stored"
    problem(await other_athlete.client.get(f"{RUNS}/{mine['files'][0]['runId']}/original"), 404)


BAD: list[tuple[str, bytes, str]] = [
    ("nothing.gpx", b"", "It is empty."),
    ("text.gpx", b"hello", "It is none of GPX, TCX and FIT."),
    ("broken.gpx", gpx()[:-20], "Its XML is broken in line 1."),
    ("other.xml", b"<kml><Document/></kml>", "It is XML, but not GPX."),
    ("route.gpx", gpx_of('<rte><rtept lat="1" lon="2"/></rte>'), "It has no track."),
    ("deep.gpx", b"<gpx>" * 100_000, "Its XML is nested too deep."),
    ("cut.fit", fit()[:-40], "The file is cut off."),
    ("damaged.fit", fit()[:60] + b"\x55" + fit()[61:], "The file is damaged: its checksum is wrong."),
    ("cut.gz", packed(gpx())[:-9], "Its gzip is cut off."),
    ("bomb.gz", packed(bytes(200_000_000)), "It unpacks to more than 64 MB."),
    (
        "entities.gpx",
        b'<!DOCTYPE gpx [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><gpx>&b;&c;</gpx>',
        "Its XML declares a document type, which no file of an activity has.",
    ),
    (
        "untimed.gpx",
        gpx_of("<trk><trkseg>" + '<trkpt lat="1" lon="2"/>' * 3 + "</trkseg></trk>"),
        "Its points have no times.",
    ),
    ("standing.gpx", gpx((0, 0, 0)), "Nothing in it moves."),
    ("short.gpx", gpx((0, 20, 40), 10), "It is shorter than 50 m."),
    ("car.tcx", tcx((0, 10_000, 20_000)), "It is faster than one minute a kilometre."),
    ("nowhere.tcx", tcx((0, 0, 0), positions=False), "It has neither positions nor a distance."),
    ("future.gpx", gpx(start=datetime.now(UTC) + timedelta(days=2)), "A run starts at most 24 hours ahead."),
]


@pytest.mark.parametrize(("name", "content", "reason"), BAD, ids=[name for name, _, _ in BAD])
async def test_a_bad_file_is_refused_with_its_reason(
    athlete: Actor, connection: Connection, name: str, content: bytes, reason: str
) -> None:
    outcome = await send(athlete, (name, content), ("good.gpx", gpx()))
    bad, good = outcome["files"]
    assert (bad["status"], bad["reason"], bad["runId"]) == ("refused", reason, None)
    assert good["status"] == "stored"
    assert await connection.fetchval("SELECT count(*) FROM runs") == 1


@pytest.mark.parametrize("file", [gpx(kind="cycling"), tcx(sport="Biking"), fit(sport=CYCLING)])
async def test_what_is_no_running_is_skipped(athlete: Actor, connection: Connection, file: bytes) -> None:
    outcome = await send(athlete, ("ride", file), status=200)
    assert (outcome["skipped"], outcome["files"][0]["status"]) == (1, "skipped")
    assert "not running" in outcome["files"][0]["reason"]
    assert await connection.fetchval("SELECT count(*) FROM runs") == 0


@pytest.mark.parametrize("file", [tcx(positions=False), fit(positions=False)])
async def test_a_treadmill_has_the_distance_of_its_device(athlete: Actor, file: bytes) -> None:
    activity = (await send(athlete, ("indoor", file)))["files"][0]["activities"][0]
    assert (activity["distanceKm"], activity["durationSeconds"]) == (2, 600)


async def test_points_are_put_into_their_order(athlete: Actor, connection: Connection) -> None:
    head, *points = gpx((0, 1000, 2000, 3000)).decode().split("<trkpt")
    last, tail = points[-1].split("</trkseg>")
    mixed = "<trkpt".join([head, last, points[1], points[0], points[2] + "</trkseg>" + tail])
    await send(athlete, ("mixed.gpx", mixed.encode()))
    [run] = await connection.fetch("SELECT distance_km, duration_seconds, started_at FROM runs")
    assert (float(run["distance_km"]), run["duration_seconds"], run["started_at"]) == (3.0, 900, START)


async def test_two_activities_in_one_file_are_two_runs(athlete: Actor, connection: Connection) -> None:
    def track(content: bytes) -> str:
        text = content.decode()
        return text[text.index("<trk>") : text.index("</gpx>")]

    two = gpx_of(
        track(gpx()) + track(gpx(start=START + timedelta(hours=5), kind="cycling")) + track(gpx(start=DAY_AFTER))
    )
    [file] = (await send(athlete, ("two.gpx", two)))["files"]
    assert [activity["status"] for activity in file["activities"]] == ["stored", "skipped", "stored"]
    for activity in (file["activities"][0], file["activities"][2]):
        assert (await athlete.client.get(f"{RUNS}/{activity['runId']}/original")).content == two


async def test_a_run_counts_on_the_day_of_its_place(athlete: Actor, connection: Connection) -> None:
    answer = await athlete.client.post(
        FILES, params={"timezone": "america/los_angeles"}, files={"files": ("a.gpx", gpx())}
    )
    assert answer.status_code == 201
    [run] = await connection.fetch("SELECT user_timezone, local_date::text FROM runs")
    assert tuple(run) == ("America/Los_Angeles", "2026-05-31")
    odd = await athlete.client.post(FILES, params={"timezone": "Mars/Base"}, files={"files": ("a.gpx", gpx())})
    assert broken_fields(odd) == {"timezone": "enum"}


async def test_a_run_is_linked_to_its_workout(athlete: Actor, connection: Connection) -> None:
    plan, workout = uuid7(), uuid7()
    await connection.execute(
        "INSERT INTO running_plans (id, user_id, name, start_date, end_date, status)"
        " VALUES ($1, $2, 'Race', '2026-05-01', '2026-07-01', 'active')",
        plan,
        athlete.id,
    )
    await connection.execute(
        "INSERT INTO running_workouts (id, plan_id, name, workout_type, planned_distance_km, scheduled_date)"
        " VALUES ($1, $2, 'Easy', 'easy', 2, '2026-06-01')",
        workout,
        plan,
    )
    [activity] = (await send(athlete, ("a.gpx", gpx())))["files"][0]["activities"]
    assert (activity["planId"], activity["workoutId"], activity["autoMatched"]) == (str(plan), str(workout), True)
    assert await connection.fetchval("SELECT workout_id FROM runs") == workout


class TestOriginals:
    async def test_are_handed_out_by_their_names(self, athlete: Actor) -> None:
        [file] = (await send(athlete, ('..\\a/"Läufe; x=1.gpx', gpx())))["files"]
        answer = await athlete.client.get(f"{RUNS}/{file['runId']}/original")
        assert answer.headers["content-type"] == "application/gpx+xml"
        assert answer.headers["content-disposition"] == (
            "attachment; filename=\"_L_ufe; x=1.gpx\"; filename*=UTF-8''%22L%C3%A4ufe%3B%20x%3D1.gpx"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_are_gzipped_once(self, athlete: Actor, connection: Connection) -> None:
        await send(athlete, ("a.gpx", gpx()), ("b.tcx.gz", packed(tcx(start=DAY_AFTER))))
        kept = await connection.fetch("SELECT media_type, is_wrapped, content FROM run_original ORDER BY name")
        assert [(file["media_type"], file["is_wrapped"]) for file in kept] == [
            ("application/gpx+xml", True),
            ("application/gzip", False),
        ]
        assert [gzip.decompress(file["content"]) for file in kept] == [gpx(), tcx(start=DAY_AFTER)]

    async def test_go_with_their_run(self, athlete: Actor, connection: Connection) -> None:
        [file] = (await send(athlete, ("a.gpx", gpx())))["files"]
        assert (await athlete.client.delete(f"{RUNS}/{file['runId']}")).status_code == 204
        problem(await athlete.client.get(f"{RUNS}/{file['runId']}/original"), 404)
        assert await connection.fetchval("SELECT count(*) FROM run_original") == 0

    async def test_go_with_the_account(self, athlete: Actor, connection: Connection) -> None:
        await send(athlete, ("a.gpx", gpx()))
        gone = await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
        assert gone.status_code == 204
        assert await connection.fetchval("SELECT count(*) FROM run_original") == 0

    async def test_are_not_there_for_what_was_typed(self, athlete: Actor, connection: Connection) -> None:
        run = await Rows(connection).add("runs", user_id=athlete.id)
        problem(await athlete.client.get(f"{RUNS}/{run['id']}/original"), 404)


class TestForms:
    @pytest.mark.parametrize("path", [FILES, IMPORTS])
    async def test_only_forms_with_files_are_taken(self, athlete: Actor, path: str) -> None:
        problem(await athlete.client.post(path, json={}), 415)
        problem(await athlete.client.post(path, content=gpx(), headers={"Content-Type": "application/gpx+xml"}), 415)
        problem(await athlete.client.post(path), 415)

    @pytest.mark.parametrize("path", [FILES, IMPORTS])
    async def test_a_broken_form_is_refused(self, athlete: Actor, path: str) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        problem(await athlete.client.post(path, content=b"--x\r\nContent-Dis", headers=headers), 400)
        problem(await athlete.client.post(path, content=b"", headers=headers), 400)

    @pytest.mark.parametrize("path", [FILES, IMPORTS])
    async def test_there_has_to_be_a_file_and_nothing_else(self, athlete: Actor, path: str) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert broken_fields(await athlete.client.post(path, content=b"--x--\r\n", headers=headers)) == {
            "files": "missing"
        }
        other = await athlete.client.post(path, data={"title": "x"}, files={"files": ("a.gpx", gpx())})
        assert broken_fields(other) == {"title": "unknown"}

    async def test_a_hundred_files_are_taken(self, athlete: Actor, connection: Connection) -> None:
        files = [("files", (f"{number}.gpx", b"x")) for number in range(101)]
        assert broken_fields(await athlete.client.post(FILES, files=files)) == {"files": "length"}
        assert (await athlete.client.post(FILES, files=files[:100])).json()["refused"] == 100

    async def test_bodies_are_bounded(self, make_app: MakeApp, make_actor: MakeActor, connection: Connection) -> None:
        app = await make_app(MAX_UPLOAD_BYTES="2000", MAX_ARCHIVE_BYTES="3000", MAX_BODY_BYTES="1024")
        actor = await make_actor(service=app)
        assert (await actor.client.post(FILES, files={"files": ("a.gpx", gpx())})).status_code == 201
        problem(await actor.client.post(FILES, files={"files": ("a.gpx", bytes(2000))}), 413)
        problem(await actor.client.post(IMPORTS, files={"files": ("a.zip", bytes(3000))}), 413)

        async def chunks() -> AsyncIterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
            for _ in range(3):
                yield bytes(1000)

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        problem(await actor.client.post(FILES, content=chunks(), headers=headers), 413)

    async def test_nobody_sends_files(self, client: httpx.AsyncClient) -> None:
        problem(await client.post(FILES, files={"files": ("a.gpx", gpx())}), 401)
        problem(await client.post(IMPORTS, files={"files": ("a.zip", b"")}), 401)

    async def test_foreign_pages_send_no_files(self, athlete: Actor) -> None:
        headers = {"Origin": "https://evil.example"}
        problem(await athlete.client.post(FILES, files={"files": ("a.gpx", gpx())}, headers=headers), 403)


class TestAgain:
    async def test_the_first_answer_is_given_again(self, athlete: Actor, connection: Connection) -> None:
        answers = [
            # Each with a boundary of its own.
            await athlete.client.post(FILES, files={"files": ("a.gpx", gpx())}, headers={"Idempotency-Key": "k"})
            for _ in range(2)
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[1].content == answers[0].content
        assert answers[1].headers["idempotent-replayed"] == "true"
        other = await athlete.client.post(FILES, files={"files": ("b.gpx", gpx())}, headers={"Idempotency-Key": "k"})
        assert broken_fields(other) == {"Idempotency-Key": "rule"}

    async def test_a_refusal_too(self, athlete: Actor) -> None:
        for _ in range(2):
            answer = await athlete.client.post(
                IMPORTS, files={"files": ("a.zip", b"none")}, headers={"Idempotency-Key": "k"}
            )
            assert answer.status_code == 422
            assert [broken["field"] for broken in answer.json()["details"]] == ["files"]
        assert answer.headers["idempotent-replayed"] == "true"
