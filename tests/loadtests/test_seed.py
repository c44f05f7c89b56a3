"""The people of load tests, as they are in the database."""

import asyncpg
import httpx
from asyncpg import Record

from app.security.passwords import Passwords
from loadtests.crowd.people import PASSWORD, email
from loadtests.people import Town
from loadtests.seed import seed

TOWN = Town(users=11, sessions=33, own=3, sets=33 * 15)


async def test_seeded_people_sign_in_and_have_what_they_are_said_to_have(
    client: httpx.AsyncClient, connection: "asyncpg.Connection[Record]"
) -> None:
    password = await Passwords(memory_kib=8, time_cost=1).hash(PASSWORD)
    async with connection.transaction():
        await seed(connection, TOWN, password)
    counts = {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("user_account", "training_sessions", "training_session_sets", "runs")
    }
    assert counts == {"user_account": 11, "training_sessions": 33, "training_session_sets": 495, "runs": 1000}

    signed_in = await client.post("/api/v1/access/signin", json={"email": email(10), "password": PASSWORD})
    assert signed_in.status_code == 204
    own = (await client.get("/api/v1/training-plans")).json()["items"]
    public = (await client.get("/api/v1/training-plans?scope=public")).json()["items"]
    assert own == [plan for plan in public if plan["access"] == "owner"]
    assert len(own[0]["units"]) == 5
    assert len(public) == 11

    day = (await client.get(f"/api/v1/training-plans/{own[0]['id']}/next")).json()["next"]
    started = await client.post("/api/v1/training-sessions", json={"planUnitId": day["planUnitId"]})
    assert started.status_code == 201
    exercise = started.json()["exercises"][0]["id"]
    path = f"{started.headers['location']}/exercises/{exercise}/sets"
    assert (await client.post(path, json={"weight": 60, "repsCompleted": 5})).status_code == 201
    # Triggers were at work: what runs add up to is known.
    assert (await client.get("/api/v1/analytics/summary")).json()["totalRuns"] == 50
