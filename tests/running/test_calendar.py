import re

from tests.actors import Actor
from tests.answers import problem
from tests.conftest import MakeApp
from tests.running.steps import PLANS, WORKOUTS, Connection, body_of, make_plan, make_workout
from tests.service import Service


def events_of(text: str) -> list[dict[str, str]]:
    """The events of a calendar: the values of their properties by their names."""
    assert text.endswith("END:VCALENDAR\r\n")
    lines = text.replace("\r\n ", "").split("\r\n")
    events: list[dict[str, str]] = []
    for line in lines:
        if line == "BEGIN:VEVENT":
            events.append({})
        elif events and ":" in line:
            name, _, value = line.partition(":")
            events[-1][name] = value
    return events


async def events(actor: Actor, plan: dict[str, str]) -> list[dict[str, str]]:
    answer = await actor.client.get(f"{PLANS}/{plan['id']}/calendar.ics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    return events_of(answer.text)


class TestCalendar:
    async def test_has_an_event_for_each_workout_with_a_date(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, goalRaceDate="2026-09-06")
        notes = "Warm up; then 4 x 1 km, easy\nö" * 20
        workout = await make_workout(
            athlete,
            plan,
            name="Tempo, fast",
            workoutType="tempo",
            scheduledDate="2026-06-30",
            targetPaceMinSec=245,
            targetPaceMaxSec=250,
            notes=notes,
        )
        await make_workout(athlete, plan)
        event, race = await events(athlete, plan)
        assert event["UID"] == f"{workout['id']}@irontrack"
        assert (event["DTSTART;VALUE=DATE"], event["DTEND;VALUE=DATE"]) == ("20260630", "20260701")
        assert event["SUMMARY"] == "Tempo\\, fast"
        text = event["DESCRIPTION"].replace("\\n", "\n").replace("\\,", ",").replace("\\;", ";")
        assert text == f"Tempo, 10 km\n4:05 to 4:10/km\n{notes}"
        assert re.fullmatch(r"\d{8}T\d{6}Z", event["LAST-MODIFIED"])
        assert race["DTSTART;VALUE=DATE"] == "20260906"

    async def test_is_what_the_format_asks_for(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, name="Läufe; viel, 🏃" + "ö" * 80, goalRaceDate="2026-09-06")
        await make_workout(athlete, plan, name="🏃" * 60, scheduledDate="2026-06-30", notes="a\r\nb\x07c")
        answer = await athlete.client.get(f"{PLANS}/{plan['id']}/calendar.ics")
        assert answer.content.count(b"\n") == answer.content.count(b"\r\n")
        lines = answer.content.split(b"\r\n")
        # Each can be read by itself: no character is cut in two.
        assert all(line.decode() and len(line) <= 75 for line in lines[:-1])
        unfolded = answer.text.replace("\r\n ", "").split("\r\n")
        assert unfolded[:3] == ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//IronTrack//Running plans//EN"]
        assert f"X-WR-CALNAME:{plan['name']}".replace(";", "\\;").replace(",", "\\,") in unfolded
        assert [unfolded.count(f"{mark}:VEVENT") for mark in ("BEGIN", "END")] == [2, 2]
        for event in events_of(answer.text):
            assert {"UID", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE", "SUMMARY"} <= event.keys()
            assert re.fullmatch(r"\d{8}T\d{6}Z", event["DTSTAMP"])
        assert events_of(answer.text)[0]["SUMMARY"] == "🏃" * 60
        assert events_of(answer.text)[0]["DESCRIPTION"] == "Easy\\, 10 km\\na\\nbc"

    async def test_loses_what_is_deleted(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, goalRaceDate="2026-09-06")
        gone, stays = [await make_workout(athlete, plan, scheduledDate="2026-06-30") for _ in range(2)]
        _, _, race = await events(athlete, plan)
        assert (await athlete.client.delete(f"{WORKOUTS}/{gone['id']}")).status_code == 204
        left, moved = await events(athlete, plan)
        assert left["UID"] == f"{stays['id']}@irontrack"
        assert moved["UID"] == race["UID"]
        assert int(moved["SEQUENCE"]) > int(race["SEQUENCE"])
        for place, body in (
            (f"{WORKOUTS}/{stays['id']}", {"scheduledDate": None}),
            (f"{PLANS}/{plan['id']}", {"goalRaceDate": None}),
        ):
            body_of(await athlete.client.patch(place, json=body), 200)
        assert await events(athlete, plan) == []

    async def test_keeps_its_uids_and_counts_changes(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        workout = await make_workout(athlete, plan, scheduledDate="2026-06-30")
        other = await make_workout(athlete, plan, scheduledDate="2026-06-30")
        before = await events(athlete, plan)
        place = f"{WORKOUTS}/{workout['id']}"
        body_of(await athlete.client.patch(place, json={"scheduledDate": "2026-06-29"}), 200)
        after = await events(athlete, plan)
        assert {event["UID"] for event in after} == {event["UID"] for event in before}
        sequences = {event["UID"]: int(event["SEQUENCE"]) for event in before}
        assert [event["UID"] for event in after] == [f"{key['id']}@irontrack" for key in (workout, other)]
        assert [int(event["SEQUENCE"]) - sequences[event["UID"]] for event in after] == [1, 0]

    async def test_has_an_etag(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        place = f"{PLANS}/{plan['id']}/calendar.ics"
        tag = (await athlete.client.get(place)).headers["etag"]
        assert (await athlete.client.get(place, headers={"If-None-Match": tag})).status_code == 304
        await make_workout(athlete, plan, scheduledDate="2026-06-30")
        assert (await athlete.client.get(place, headers={"If-None-Match": tag})).status_code == 200


class TestLink:
    async def test_leads_to_the_calendar_without_an_account(self, athlete: Actor, service: Service) -> None:
        plan = await make_plan(athlete)
        await make_workout(athlete, plan, scheduledDate="2026-06-30")
        link = f"{PLANS}/{plan['id']}/link"
        problem(await athlete.client.get(link), 404)
        answer = await athlete.client.post(link)
        made = body_of(answer, 201)
        assert answer.headers["location"] == link
        assert made["path"] == f"/api/v1/shared/{made['token']}/calendar.ics"
        nobody = service.client()
        read = await nobody.get(made["path"])
        assert (read.headers["cache-control"], read.headers["x-robots-tag"]) == ("no-store", "noindex")
        assert read.headers["content-type"] == "text/calendar; charset=utf-8"
        head = await nobody.head(made["path"])
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", read.headers["etag"])
        known = await nobody.get(made["path"], headers={"If-None-Match": read.headers["etag"]})
        assert (known.status_code, known.content, known.headers["x-robots-tag"]) == (304, b"", "noindex")
        assert len(events_of(read.text)) == 1
        assert body_of(await athlete.client.get(link), 200) == {"createdAt": made["createdAt"]}
        again = body_of(await athlete.client.post(link), 201)
        ended = await nobody.get(made["path"], headers={"If-None-Match": read.headers["etag"]})
        problem(ended, 404)
        assert ended.headers["cache-control"] == "no-store"
        assert (await nobody.get(again["path"])).status_code == 200
        assert (await athlete.client.delete(link)).status_code == 204
        problem(await nobody.get(again["path"]), 404)
        problem(await athlete.client.delete(link), 404)

    async def test_is_kept_as_a_hash_alone(self, athlete: Actor, connection: Connection) -> None:
        plan = await make_plan(athlete)
        made = body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)
        assert len(made["token"]) >= 43
        [row] = await connection.fetch("SELECT * FROM calendar_link")
        assert made["token"].encode() not in bytes(row["token_hash"])
        assert made["token"] not in str(dict(row))

    async def test_ends_with_the_plan(self, athlete: Actor, service: Service) -> None:
        plan = await make_plan(athlete)
        made = body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)
        assert (await athlete.client.delete(f"{PLANS}/{plan['id']}")).status_code == 204
        problem(await service.client().get(made["path"]), 404)

    async def test_ends_with_the_account(self, athlete: Actor, service: Service) -> None:
        plan = await make_plan(athlete)
        made = body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)
        answer = await athlete.client.request("DELETE", "/api/v1/access/me", json={"password": athlete.password})
        assert answer.status_code == 204
        problem(await service.client().get(made["path"]), 404)

    async def test_is_rate_limited(self, athlete: Actor, make_app: MakeApp) -> None:
        plan = await make_plan(athlete)
        path = body_of(await athlete.client.post(f"{PLANS}/{plan['id']}/link"), 201)["path"]
        stranger = (await make_app(RATE_LIMIT_READS="3")).client(address="203.0.113.9")
        answers = [await stranger.get(place) for place in (path, "/api/v1/shared/x/calendar.ics", path, path)]
        assert [answer.status_code for answer in answers] == [200, 404, 200, 429]

    async def test_is_nobody_elses(self, athlete: Actor, other_athlete: Actor, superuser: Actor) -> None:
        plan = await make_plan(athlete)
        link = f"{PLANS}/{plan['id']}/link"
        body_of(await athlete.client.post(link), 201)
        for actor in (other_athlete, superuser):
            for method in ("GET", "POST", "DELETE"):
                problem(await actor.client.request(method, link), 404)
        body_of(await athlete.client.get(link), 200)
