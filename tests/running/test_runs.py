import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.actors import Actor
from tests.answers import broken_fields, problem
from tests.running.steps import (
    PLANS,
    RUNS,
    SUMMARY,
    UNKNOWN_ID,
    Connection,
    body_of,
    contents,
    get,
    make_plan,
    make_workout,
    record,
    run_body,
)

SPLITS = [{"durationSeconds": 300}] * 10
WRONG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"distanceKm": 0.04}, {"distanceKm": "range"}),
    ({"distanceKm": 1000.001}, {"distanceKm": "range"}),
    ({"distanceKm": None}, {"distanceKm": "null"}),
    ({"startedAt": None}, {"startedAt": "null"}),
    ({"startedAt": "2026-06-01T06:00:00"}, {"startedAt": "pattern"}),
    ({"durationSeconds": 599}, {"durationSeconds": "range"}),
    ({"durationSeconds": 36001}, {"durationSeconds": "range"}),
    ({"durationSeconds": 2**31}, {"durationSeconds": "range"}),
    ({"durationSeconds": 3000, "paceSecPerKm": 301.1}, {"paceSecPerKm": "rule"}),
    ({"paceSecPerKm": 59, "durationSeconds": 600}, {"paceSecPerKm": "range"}),
    ({"elapsedSeconds": 2999}, {"elapsedSeconds": "rule"}),
    ({"avgHeartRate": 251}, {"avgHeartRate": "range"}),
    ({"perceivedEffort": 11}, {"perceivedEffort": "range"}),
    ({"elevationGainM": -1}, {"elevationGainM": "range"}),
    ({"userTimezone": "Mars/Olympus"}, {"userTimezone": "enum"}),
    ({"source": "watch"}, {"source": "enum"}),
    ({"splits": SPLITS[1:]}, {"splits": "rule"}),
    ({"splits": [{"durationSeconds": 302}] * 10}, {"splits": "rule"}),
    ({"splits": [{"durationSeconds": 300, "distanceKm": 0.999}, *SPLITS[1:]]}, {"splits[0].distanceKm": "rule"}),
    ({"splits": [{"durationSeconds": 300, "distanceKm": 2}]}, {"splits[0].distanceKm": "range"}),
    ({"splits": []}, {"splits": "length"}),
    ({"pace": 300}, {"pace": "unknown"}),
]


def _naming(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: key if value == "{}" else value for name, value in body.items()}


class TestRuns:
    async def test_are_recorded_read_replaced_changed_and_deleted(self, athlete: Actor) -> None:
        body = run_body(
            userTimezone="europe/berlin",
            elapsedSeconds=3100,
            avgHeartRate=150,
            elevationGainM=80.5,
            perceivedEffort=7.5,
            notes="x",
            splits=SPLITS,
            source="strava",
            externalId="42",
        )
        answer = await athlete.client.post(RUNS, json=body)
        run = body_of(answer, 201)
        place = f"{RUNS}/{run['id']}"
        assert answer.headers["location"] == place
        split = {"distanceKm": 1, "durationSeconds": 300, "elevationGainM": None, "avgHeartRate": None}
        derived = {"paceSecPerKm": 300, "paceStr": "5:00/km", "matchesTarget": None, "localDate": "2026-06-10"}
        expected = {**body, **derived, "userTimezone": "Europe/Berlin", "splits": [split] * 10, "planId": None}
        assert run.items() >= {**expected, "autoMatched": False}.items()
        assert await get(athlete, place) == {key: value for key, value in run.items() if key != "autoMatched"}
        changed = body_of(await athlete.client.patch(place, json={"splits": None, "distanceKm": 8}), 200)
        assert (changed["paceStr"], changed["splits"], changed["durationSeconds"]) == ("6:15/km", None, 3000)
        assert body_of(await athlete.client.patch(place, json={"paceSecPerKm": 310}), 200)["durationSeconds"] == 2480
        replaced = body_of(await athlete.client.put(place, json=run), 200)
        assert (replaced["distanceKm"], replaced["splits"]) == (10, [split] * 10)
        replaced = body_of(await athlete.client.put(place, json=run_body()), 200)
        assert (replaced["source"], replaced["notes"], replaced["userTimezone"]) == ("manual", None, "UTC")
        assert (await athlete.client.delete(place)).status_code == 204
        problem(await athlete.client.get(place), 404)

    async def test_that_break_rules_are_refused_alike(self, athlete: Actor, connection: Connection) -> None:
        run = await record(athlete)
        before = await contents(connection)
        for wrong, fields in WRONG:
            for method, path, body in (
                ("POST", RUNS, run_body(**wrong)),
                ("PUT", f"{RUNS}/{run['id']}", run_body(**wrong)),
                ("PATCH", f"{RUNS}/{run['id']}", wrong),
            ):
                answer = await athlete.client.request(method, path, json=body)
                assert broken_fields(answer) == fields, (method, wrong)
        assert await contents(connection) == before

    async def test_all_that_is_wrong_is_told(self, athlete: Actor, connection: Connection) -> None:
        plan, other = await make_plan(athlete), await make_plan(athlete)
        workout = await make_workout(athlete, other)
        run = await record(athlete)
        before = await contents(connection)
        wrong: dict[str, Any] = {
            "startedAt": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
            "userTimezone": "Mars/Olympus",
            "durationSeconds": 3000,
            "paceSecPerKm": 310,
            "elapsedSeconds": 2000,
            "splits": SPLITS[1:],
            "planId": plan["id"],
            "workoutId": workout["id"],
        }
        for method, path, body in (
            ("POST", RUNS, run_body(**wrong)),
            ("PUT", f"{RUNS}/{run['id']}", run_body(**wrong)),
            ("PATCH", f"{RUNS}/{run['id']}", wrong),
        ):
            assert broken_fields(await athlete.client.request(method, path, json=body)) == {
                "startedAt": "range",
                "userTimezone": "enum",
                "paceSecPerKm": "rule",
                "elapsedSeconds": "rule",
                "splits": "rule",
                "planId": "rule",
            }
        assert await contents(connection) == before

    @pytest.mark.parametrize(("km", "seconds"), [(0.145, 522), (0.05, 3), (0.051, 183), (1000, 60_000), (1, 3600)])
    async def test_can_be_put_as_they_were_read(self, athlete: Actor, km: float, seconds: int) -> None:
        run = await record(athlete, distanceKm=km, durationSeconds=seconds)
        del run["autoMatched"]
        replaced = body_of(await athlete.client.put(f"{RUNS}/{run['id']}", json=run), 200)
        assert replaced == run | {"updatedAt": replaced["updatedAt"]}

    async def test_a_change_is_checked_with_what_is_stored(self, athlete: Actor, connection: Connection) -> None:
        run = await record(athlete, splits=SPLITS, elapsedSeconds=3100)
        before = await contents(connection)
        for change, fields in (
            ({"distanceKm": 8}, {"splits": "rule"}),
            ({"durationSeconds": 3101}, {"elapsedSeconds": "rule", "splits": "rule"}),
            ({"distanceKm": 1000, "splits": None}, {"durationSeconds": "range"}),
        ):
            assert broken_fields(await athlete.client.patch(f"{RUNS}/{run['id']}", json=change)) == fields
        assert await contents(connection) == before

    async def test_need_a_duration_or_a_pace(self, athlete: Actor) -> None:
        body = run_body()
        del body["durationSeconds"]
        assert broken_fields(await athlete.client.post(RUNS, json=body)) == {"durationSeconds": "missing"}
        run = await record(athlete, durationSeconds=None, paceSecPerKm=303.57)
        assert (run["durationSeconds"], run["paceStr"]) == (3036, "5:04/km")
        run = await record(athlete, paceSecPerKm=301)
        assert (run["durationSeconds"], run["paceSecPerKm"]) == (3000, 300)

    async def test_start_at_most_a_day_ahead(self, athlete: Actor) -> None:
        late = (datetime.now(UTC) + timedelta(hours=24, minutes=1)).isoformat()
        assert broken_fields(await athlete.client.post(RUNS, json=run_body(startedAt=late))) == {"startedAt": "range"}

    async def test_of_one_source_are_there_once(self, athlete: Actor, other_athlete: Actor) -> None:
        for actor in (athlete, other_athlete):
            await record(actor, source="strava", externalId="1")
        other = await record(athlete, source="gpx", externalId="1")
        problem(await athlete.client.post(RUNS, json=run_body(source="strava", externalId="1")), 409)
        problem(await athlete.client.patch(f"{RUNS}/{other['id']}", json={"source": "strava"}), 409)
        assert len((await get(athlete, RUNS))["items"]) == 2

    async def test_of_others_are_not_there(self, athlete: Actor, other_athlete: Actor, connection: Connection) -> None:
        run, plan = await record(other_athlete), await make_plan(other_athlete)
        workout = await make_workout(other_athlete, plan)
        mine = await record(athlete)
        before = await contents(connection)
        for key in (run["id"], UNKNOWN_ID):
            place = f"{RUNS}/{key}"
            problem(await athlete.client.get(place), 404)
            problem(await athlete.client.put(place, json=run_body()), 404)
            problem(await athlete.client.patch(place, json={}), 404)
            problem(await athlete.client.delete(place), 404)
        for link in ({"planId": plan["id"]}, {"workoutId": workout["id"]}):
            problem(await athlete.client.post(RUNS, json=run_body(**link)), 404)
            problem(await athlete.client.put(f"{RUNS}/{mine['id']}", json=run_body(**link)), 404)
            problem(await athlete.client.patch(f"{RUNS}/{mine['id']}", json=link), 404)
        own = await make_plan(athlete)
        before = await contents(connection)
        for body in (run_body(), run_body(planId=own["id"])):
            problem(await athlete.client.post(f"{PLANS}/{plan['id']}/runs", json=body), 404)
        assert [item["id"] for item in (await get(athlete, RUNS))["items"]] == [mine["id"]]
        assert await contents(connection) == before

    async def test_of_others_are_as_unknown_ones(
        self, athlete: Actor, other_athlete: Actor, superuser: Actor, connection: Connection
    ) -> None:
        plan = await make_plan(other_athlete)
        workout = await make_workout(other_athlete, plan)
        run = await record(other_athlete, planId=plan["id"])
        before = await contents(connection)

        async def told(actor: Actor, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
            told = problem(await actor.client.request(method, path, json=body), 404)
            return {name: value for name, value in told.items() if name not in {"instance", "requestId"}}

        for actor in (athlete, superuser):
            for key, path, method, body in (
                (run["id"], f"{RUNS}/{{}}", "GET", None),
                (run["id"], f"{RUNS}/{{}}", "PUT", run_body()),
                (run["id"], f"{RUNS}/{{}}", "PATCH", {}),
                (run["id"], f"{RUNS}/{{}}", "DELETE", None),
                (plan["id"], f"{PLANS}/{{}}/runs", "POST", run_body()),
                (plan["id"], f"{PLANS}/{{}}/runs", "GET", None),
                (plan["id"], RUNS, "POST", run_body(planId="{}")),
                (workout["id"], RUNS, "POST", run_body(workoutId="{}")),
            ):
                theirs, unknown = [
                    await told(actor, method, path.format(named), body and _naming(body, named))
                    for named in (key, UNKNOWN_ID)
                ]
                assert theirs == unknown
            assert (await get(actor, RUNS, planId=plan["id"], workoutId=workout["id"]))["items"] == []
            assert (await get(actor, "/api/v1/analytics/summary"))["totalRuns"] == 0
        assert await contents(connection) == before

    @pytest.mark.parametrize(
        "field", ["startedAt", "userTimezone", "distanceKm", "durationSeconds", "paceSecPerKm", "source"]
    )
    async def test_keep_what_they_need(self, athlete: Actor, connection: Connection, field: str) -> None:
        run = await record(athlete)
        before = await contents(connection)
        answer = await athlete.client.patch(f"{RUNS}/{run['id']}", json={"notes": "x", field: None})
        assert broken_fields(answer) == {field: "null"}
        assert await contents(connection) == before

    async def test_are_recorded_and_linked_once_with_a_key(self, athlete: Actor, connection: Connection) -> None:
        plan = await make_plan(athlete, status="active")
        for _ in range(2):
            await make_workout(athlete, plan, scheduledDate="2026-06-10")
        first, again = [
            await athlete.client.post(RUNS, json=run_body(), headers={"Idempotency-Key": "a"}) for _ in range(2)
        ]
        assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
        assert await connection.fetchval("SELECT count(*) FROM runs") == 1

    async def test_have_a_new_state_when_their_links_go(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        workout = await make_workout(athlete, plan, scheduledDate="2026-06-10")
        run = await record(athlete)
        place = f"{RUNS}/{run['id']}"
        for gone in (f"/api/v1/workouts/{workout['id']}", f"{PLANS}/{plan['id']}"):
            tag = (await athlete.client.get(place)).headers["etag"]
            assert (await athlete.client.delete(gone)).status_code == 204
            assert (await athlete.client.get(place, headers={"If-None-Match": tag})).status_code == 200
            problem(await athlete.client.delete(place, headers={"If-Match": tag}), 412)

    async def test_have_the_plan_of_their_workout(self, athlete: Actor) -> None:
        plan, other = await make_plan(athlete), await make_plan(athlete)
        workout, elsewhere = await make_workout(athlete, plan), await make_workout(athlete, other)
        run = await record(athlete, workoutId=workout["id"])
        assert run["planId"] == plan["id"]
        place = f"{RUNS}/{run['id']}"
        wrong = {"workoutId": workout["id"], "planId": other["id"]}
        assert broken_fields(await athlete.client.post(RUNS, json=run_body(**wrong))) == {"planId": "rule"}
        assert broken_fields(await athlete.client.patch(place, json={"planId": other["id"]})) == {"planId": "rule"}
        moved = body_of(await athlete.client.patch(place, json={"workoutId": elsewhere["id"]}), 200)
        assert moved["planId"] == other["id"]
        alone = body_of(await athlete.client.patch(place, json={"workoutId": None}), 200)
        assert (alone["planId"], alone["workoutId"]) == (other["id"], None)
        assert body_of(await athlete.client.patch(place, json={"planId": None}), 200)["planId"] is None

    async def test_below_a_plan_are_of_it(self, athlete: Actor) -> None:
        plan, other = await make_plan(athlete), await make_plan(athlete)
        place = f"{PLANS}/{plan['id']}/runs"
        run = body_of(await athlete.client.post(place, json=run_body()), 201)
        await record(athlete)
        assert run["planId"] == plan["id"]
        assert [item["id"] for item in (await get(athlete, place))["items"]] == [run["id"]]
        assert (await get(athlete, f"{PLANS}/{other['id']}/runs"))["items"] == []
        answer = await athlete.client.post(place, json=run_body(planId=other["id"]))
        assert broken_fields(answer) == {"planId": "rule"}

    async def test_heed_if_match(self, athlete: Actor) -> None:
        run = await record(athlete)
        place = f"{RUNS}/{run['id']}"
        tag = (await athlete.client.get(place)).headers["etag"]
        body_of(await athlete.client.patch(place, json={"notes": "a"}, headers={"If-Match": tag}), 200)
        for method, body in (("PATCH", {"notes": "b"}), ("PUT", run_body()), ("DELETE", None)):
            problem(await athlete.client.request(method, place, json=body, headers={"If-Match": tag}), 412)
        assert (await get(athlete, place))["notes"] == "a"


class TestMatching:
    async def test_links_the_nearest_then_the_oldest(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        day = "2026-06-10"
        far = await make_workout(athlete, plan, scheduledDate=day, plannedDistanceKm=5)
        near = await make_workout(athlete, plan, scheduledDate=day, plannedDistanceKm=12)
        twin = await make_workout(athlete, plan, scheduledDate=day, plannedDistanceKm=12)
        runs = [await record(athlete, distanceKm=10) for _ in range(4)]
        assert [run["workoutId"] for run in runs] == [near["id"], twin["id"], far["id"], None]
        assert [run["autoMatched"] for run in runs] == [True, True, True, False]
        assert [run["planId"] for run in runs] == [plan["id"]] * 3 + [None]

    @pytest.mark.parametrize(
        ("plan", "workout", "run"),
        [
            ({"status": "draft"}, {}, {}),
            ({"status": "completed"}, {}, {}),
            ({}, {"workoutType": "cross_training"}, {}),
            ({}, {"workoutType": "rest", "plannedDistanceKm": None}, {}),
            ({}, {"scheduledDate": "2026-06-11"}, {}),
            ({}, {"scheduledDate": None}, {}),
            ({}, {}, {"autoMatch": False}),
        ],
    )
    async def test_links_nothing_else(
        self, athlete: Actor, plan: dict[str, Any], workout: dict[str, Any], run: dict[str, Any]
    ) -> None:
        made = await make_plan(athlete, **{"status": "active", **plan})
        await make_workout(athlete, made, **{"scheduledDate": "2026-06-10", **workout})
        recorded = await record(athlete, **run)
        assert (recorded["workoutId"], recorded["planId"], recorded["autoMatched"]) == (None, None, False)

    async def test_links_by_the_local_date(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        workout = await make_workout(athlete, plan, scheduledDate="2026-06-10")
        evening = {"startedAt": "2026-06-11T06:30:00Z", "userTimezone": "America/Los_Angeles"}
        assert (await record(athlete, **evening))["workoutId"] == workout["id"]

    async def test_links_across_plans_and_only_new_runs(self, athlete: Actor) -> None:
        early, late = [await make_plan(athlete, status="active") for _ in range(2)]
        far = await make_workout(athlete, early, scheduledDate="2026-06-10", plannedDistanceKm=20)
        near = await make_workout(athlete, late, scheduledDate="2026-06-10", plannedDistanceKm=9)
        other = await record(athlete, startedAt="2026-06-09T06:00:00Z")
        place = f"{RUNS}/{other['id']}"
        for method, body in (("PATCH", {"startedAt": "2026-06-10T06:00:00Z"}), ("PUT", run_body())):
            assert body_of(await athlete.client.request(method, place, json=body), 200)["workoutId"] is None
        run = await record(athlete)
        assert (run["workoutId"], run["planId"]) == (near["id"], late["id"])
        nested = body_of(await athlete.client.post(f"{PLANS}/{early['id']}/runs", json=run_body()), 201)
        assert (nested["workoutId"], nested["planId"], nested["autoMatched"]) == (far["id"], early["id"], True)

    async def test_leaves_runs_that_name_their_workout(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        named, near = [await make_workout(athlete, plan, scheduledDate="2026-06-10") for _ in range(2)]
        runs = [await record(athlete, workoutId=named["id"]) for _ in range(2)]
        assert [(run["workoutId"], run["autoMatched"]) for run in runs] == [(named["id"], False)] * 2
        assert (await record(athlete))["workoutId"] == near["id"]

    async def test_links_within_the_plan_that_was_named(self, athlete: Actor) -> None:
        plan, other = await make_plan(athlete, status="active"), await make_plan(athlete, status="active")
        await make_workout(athlete, other, scheduledDate="2026-06-10")
        run = await record(athlete, planId=plan["id"])
        assert (run["planId"], run["workoutId"]) == (plan["id"], None)

    async def test_leaves_what_others_have_planned(self, athlete: Actor, other_athlete: Actor) -> None:
        plan = await make_plan(other_athlete, status="active")
        await make_workout(other_athlete, plan, scheduledDate="2026-06-10")
        assert (await record(athlete))["workoutId"] is None

    async def test_links_one_of_two_at_once(self, athlete: Actor) -> None:
        plan = await make_plan(athlete, status="active")
        await make_workout(athlete, plan, scheduledDate="2026-06-10")
        runs = await asyncio.gather(*(record(athlete) for _ in range(5)))
        assert sorted(run["autoMatched"] for run in runs) == [False] * 4 + [True]


class TestList:
    async def test_is_newest_first_in_parts(self, athlete: Actor) -> None:
        hours = [3, 1, 5, 2, 4]
        runs = {hour: await record(athlete, startedAt=f"2026-06-10T0{hour}:00:00Z") for hour in hours}
        parts, cursor = [], ""
        while cursor is not None:
            page = await get(athlete, RUNS, pageSize=2, cursor=cursor)
            parts.append([item["id"] for item in page["items"]])
            cursor = page["nextCursor"]
        ordered = [runs[hour]["id"] for hour in sorted(hours, reverse=True)]
        assert parts == [ordered[:2], ordered[2:4], ordered[4:]]

    async def test_filters(self, athlete: Actor) -> None:
        plan = await make_plan(athlete)
        workout = await make_workout(athlete, plan)
        a = await record(athlete, distanceKm=5, durationSeconds=1500, workoutId=workout["id"])
        b = await record(athlete, startedAt="2026-06-11T06:30:00Z", userTimezone="America/Los_Angeles", source="fit")
        c = await record(athlete, startedAt="2026-06-12T06:00:00Z", distanceKm=21.1, durationSeconds=7000)

        async def ids(**query: Any) -> list[str]:
            return [item["id"] for item in (await get(athlete, RUNS, **query))["items"]]

        assert await ids(planId=plan["id"]) == await ids(workoutId=workout["id"]) == [a["id"]]
        assert await ids(source=["fit", "gpx"]) == [b["id"]]
        assert await ids(**{"from": "2026-06-10", "to": "2026-06-10"}) == [b["id"], a["id"]]
        assert await ids(minDistanceKm=10, maxDistanceKm=21.1) == [c["id"], b["id"]]
        assert await ids(minDistanceKm=11, maxDistanceKm=10) == []
        assert await ids(**{"from": "2026-06-12", "to": "2026-06-10"}) == []
        cursor = (await get(athlete, RUNS, pageSize=1))["nextCursor"]
        answer = await athlete.client.get(f"{PLANS}/{plan['id']}/runs", params={"cursor": cursor})
        assert broken_fields(answer) == {"cursor": "rule"}
        answer = await athlete.client.get(RUNS, params={"cursor": cursor, "source": "fit"})
        assert broken_fields(answer) == {"cursor": "rule"}


MOMENTS = [
    ("2026-06-08T06:30:00Z", "America/Los_Angeles", "2026-06-07"),
    ("2026-06-07T12:30:00Z", "Pacific/Kiritimati", "2026-06-08"),
    ("2026-06-08T10:30:00Z", "Pacific/Pago_Pago", "2026-06-07"),
    # The clock goes back: 01:30 comes twice, on the same day.
    ("2026-11-01T08:30:00Z", "America/Los_Angeles", "2026-11-01"),
    ("2026-11-01T09:30:00Z", "America/Los_Angeles", "2026-11-01"),
    # And forward, at midnight: there is no 00:30.
    ("2026-09-06T03:30:00Z", "America/Santiago", "2026-09-05"),
    ("2026-09-06T04:00:00Z", "America/Santiago", "2026-09-06"),
    # Samoa left out December 30th, 2011.
    ("2011-12-30T09:59:00Z", "Pacific/Apia", "2011-12-29"),
    ("2011-12-30T10:00:00Z", "Pacific/Apia", "2011-12-31"),
]


class TestLocalDays:
    async def test_are_those_of_the_users_own_zone_when_the_run_names_none(self, athlete: Actor) -> None:
        start = "2026-06-08T06:30:00Z"
        zones = {"America/Los_Angeles": "2026-06-07", "Europe/Berlin": "2026-06-08"}
        runs = {}
        for zone in zones:
            body_of(await athlete.client.patch("/api/v1/access/me", json={"timezone": zone}), 200)
            runs[zone] = await record(athlete, startedAt=start)
        for zone, run in runs.items():
            # It stays where it was run, wherever its owner moves.
            kept = await get(athlete, f"{RUNS}/{run['id']}")
            assert (kept["userTimezone"], kept["localDate"]) == (zone, zones[zone])
            changed = body_of(await athlete.client.patch(f"{RUNS}/{run['id']}", json={"notes": "x"}), 200)
            assert changed["localDate"] == zones[zone]

    @pytest.mark.parametrize(("start", "zone", "day"), MOMENTS)
    async def test_of_runs_are_those_of_their_zone(self, athlete: Actor, start: str, zone: str, day: str) -> None:
        run = await record(athlete, startedAt=start, userTimezone=zone)
        assert run["localDate"] == day
        query = {"from": day, "to": day}
        assert [item["id"] for item in (await get(athlete, RUNS, **query))["items"]] == [run["id"]]
        assert (await get(athlete, SUMMARY, **query))["totalRuns"] == 1
        for offset in (-1, 1):
            near = (date.fromisoformat(day) + timedelta(days=offset)).isoformat()
            assert (await get(athlete, SUMMARY, **{"from": near, "to": near}))["totalRuns"] == 0

    @pytest.mark.parametrize(("start", "zone", "day"), MOMENTS)
    async def test_of_runs_are_those_of_the_weeks_of_a_plan(
        self, athlete: Actor, start: str, zone: str, day: str
    ) -> None:
        # One week ends on this day, and the next one begins on it.
        for number, offset in ((1, -6), (2, -7)):
            first = date.fromisoformat(day) + timedelta(days=offset)
            dates = {"startDate": first.isoformat(), "endDate": (first + timedelta(days=20)).isoformat()}
            plan = await make_plan(athlete, **dates)
            run = await record(athlete, startedAt=start, userTimezone=zone, planId=plan["id"])
            place = f"{PLANS}/{plan['id']}/weekly-summary"
            weeks = [await get(athlete, place, weekNumber=n) for n in (1, 2, 3)]
            assert [[item["id"] for item in week["runs"]] for week in weeks] == [
                [run["id"]] if n == number else [] for n in (1, 2, 3)
            ]
            monday = date.fromisoformat(day).isocalendar()
            [week] = (await get(athlete, SUMMARY))["weeks"]
            assert (week["isoYear"], week["isoWeek"], week["runs"]) == (monday.year, monday.week, number)
