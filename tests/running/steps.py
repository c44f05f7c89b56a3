"""Steps with running plans, workouts and runs over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import httpx
from asyncpg import Connection as AsyncpgConnection
from asyncpg import Record

from tests.actors import Actor
from tests.factories import unique

PLANS, WORKOUTS, RUNS = "/api/v1/plans", "/api/v1/workouts", "/api/v1/runs"
SUMMARY = "/api/v1/analytics/summary"
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"

Connection: TypeAlias = "AsyncpgConnection[Record]"
Document: TypeAlias = dict[str, Any]

TABLES = ("running_plans", "running_workouts", "runs", "run_totals", "plan_run_totals", "calendar_link")


def plan_body(**body: Any) -> Document:
    return {"name": unique("Autumn race"), "startDate": "2026-06-01", "endDate": "2026-08-30", **body}


def workout_body(**body: Any) -> Document:
    return {"name": "Easy run", "workoutType": "easy", "plannedDistanceKm": 10, **body}


def run_body(**body: Any) -> Document:
    return {"startedAt": "2026-06-10T06:00:00Z", "distanceKm": 10, "durationSeconds": 3000, **body}


def body_of(answer: httpx.Response, status: int) -> Document:
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    document: Document = answer.json()
    return document


async def make_plan(actor: Actor, **body: Any) -> Document:
    return body_of(await actor.client.post(PLANS, json=plan_body(**body)), 201)


async def make_workout(actor: Actor, plan: Document, **body: Any) -> Document:
    return body_of(await actor.client.post(WORKOUTS, json=workout_body(planId=plan["id"], **body)), 201)


async def record(actor: Actor, **body: Any) -> Document:
    return body_of(await actor.client.post(RUNS, json=run_body(**body)), 201)


async def get(actor: Actor, path: str, **query: Any) -> Document:
    return body_of(await actor.client.get(path, params=query), 200)


def day(offset: int) -> str:
    """A date as many days from today (UTC)."""
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


def at(offset: int) -> str:
    """The start of a run as many days from today (UTC)."""
    return f"{day(offset)}T00:00:00Z"


async def contents(connection: Connection) -> Document:
    """All rows of the running domain."""
    return {
        table: [dict(row) for row in await connection.fetch(f"SELECT * FROM {table} t ORDER BY t")] for table in TABLES
    }
