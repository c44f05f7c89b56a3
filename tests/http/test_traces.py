"""Which trace a request belongs to (W3C Trace Context), and where that is told."""

import re

import asyncpg
import pytest
import structlog

from tests.actors import Actor
from tests.conftest import MakeApp
from tests.history.workouts import SESSIONS
from tests.test_logs import Log, log

__all__ = ("log",)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
FAULTS: dict[str, list[str]] = {
    "nothing": [],
    "empty": [""],
    "trace of zeros": [f"00-{'0' * 32}-{SPAN}-01"],
    "span of zeros": [f"00-{TRACE}-{'0' * 16}-01"],
    "upper case": [f"00-{TRACE.upper()}-{SPAN}-01"],
    "short trace": [f"00-{TRACE[:-1]}-{SPAN}-01"],
    "long span": [f"00-{TRACE}-{SPAN}0-01"],
    "no flags": [f"00-{TRACE}-{SPAN}"],
    "more than version 00 has": [f"00-{TRACE}-{SPAN}-01-more"],
    "forbidden version": [f"ff-{TRACE}-{SPAN}-01"],
    "only a trace": [TRACE],
    "twice": [f"00-{TRACE}-{SPAN}-01"] * 2,
}


async def test_the_line_of_a_request_names_the_trace_that_it_belongs_to(make_app: MakeApp, log: Log) -> None:
    client = (await make_app(LOG_LEVEL="INFO")).client()
    for flags in ("00", "01", "ff"):
        answer = await client.get("/ping", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
        assert [line["trace_id"] for line in log.of(answer)] == [TRACE]


async def test_else_it_names_a_new_one(make_app: MakeApp, log: Log) -> None:
    client = (await make_app(LOG_LEVEL="INFO")).client()
    answers = {
        fault: await client.get("/ping", headers=[("traceparent", value) for value in sent])
        for fault, sent in FAULTS.items()
    }
    traces = {fault: line["trace_id"] for fault, answer in answers.items() for line in log.of(answer)}
    assert traces.keys() == FAULTS.keys()
    assert len(set(traces.values())) == len(traces)
    for fault, trace in traces.items():
        assert re.fullmatch("[0-9a-f]{32}", trace), fault
        assert trace not in (TRACE, "0" * 32), fault


async def test_slow_and_failed_statements_name_it_too(
    make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]", log: Log
) -> None:
    client = (await make_app(LOG_LEVEL="INFO", SLOW_STATEMENT_MS="0")).client(
        cookies=athlete.client.cookies, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}
    )
    stored = await client.post(SESSIONS, json={})
    await connection.execute("ALTER TABLE training_sessions RENAME TO training_sessions_away")
    try:
        read, written = await client.get(SESSIONS), await client.post(SESSIONS, json={})
    finally:
        await connection.execute("ALTER TABLE training_sessions_away RENAME TO training_sessions")
    assert (stored.status_code, read.status_code, written.status_code) == (201, 500, 500)
    for answer, event in ((stored, "slow statement"), (read, "statement failed"), (written, "statement failed")):
        lines = [line for line in log.of(answer) if line["event"] == event]
        assert any("training_sessions" in line["statement"] for line in lines), event
        assert {line["trace_id"] for line in lines} == {TRACE}


async def test_what_a_constraint_refuses_is_no_failure(
    make_app: MakeApp, athlete: Actor, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that was used before keeps the level of that time.
    monkeypatch.setattr("app.db.statements._log", structlog.get_logger("irontrack.database"))
    client = (await make_app(LOG_LEVEL="INFO")).client()
    body = {"email": athlete.email, "password": athlete.password, "confirmPassword": athlete.password}
    answer = await client.post("/api/v1/access/signup", json=body)
    assert answer.status_code == 409
    lines = {line["event"]: line for line in log.of(answer)}
    assert lines["statement refused"]["level"] == "info"
    assert "uq_user_email" in lines["statement refused"]["error"]
    assert athlete.email not in str(lines)
    assert "statement failed" not in lines
