"""Logs, as they leave the process."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from app.logs import configure_logging, writer
from app.settings import load_settings
from tests.actors import Actor
from tests.conftest import MakeApp
from tests.factories import PASSWORD, email


class Log:
    """What is written while a test runs."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._text = ""

    @property
    def text(self) -> str:
        writer.flush()
        self._text += self._capture.readouterr().err
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, answer: httpx.Response) -> list[dict[str, Any]]:
        """The lines of one request."""
        return [line for line in self.lines if line.get("request_id") == answer.headers["x-request-id"]]


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The log of this process, which is as quiet as before once the test is over."""
    yield Log(capfd)
    configure_logging(load_settings({"LOG_LEVEL": "WARNING"}))


async def test_a_request_makes_one_line(make_app: MakeApp, athlete: Actor, log: Log) -> None:
    client = (await make_app(LOG_LEVEL="INFO")).client(cookies=athlete.client.cookies, address="203.0.113.9")
    answer = await client.get("/api/v1/exercises?searchString=press")
    (line,) = log.of(answer)
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/v1/exercises", 200)
    assert (line["user_id"], line["address"]) == (str(athlete.id), "203.0.113.9")
    assert line["duration_ms"] > 0
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/api/v1/access/me", 401)])
async def test_also_one_that_no_handler_saw(make_app: MakeApp, log: Log, path: str, status: int) -> None:
    answer = await (await make_app(LOG_LEVEL="INFO")).client().get(path)
    assert [line["status"] for line in log.of(answer)] == [status]


async def test_no_secret_is_in_it(
    make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]", log: Log
) -> None:
    client = (await make_app(LOG_LEVEL="DEBUG", SLOW_STATEMENT_MS="0")).client()
    address = email()
    await client.post(
        "/api/v1/access/signup", json={"email": address, "password": PASSWORD, "confirmPassword": PASSWORD}
    )
    await client.post("/api/v1/access/signin", json={"email": address, "password": PASSWORD})
    await client.post("/api/v1/access/signin", json={"email": address, "password": "Wrong-one-7!"})
    token = client.cookies["access_token"]
    body = {"name": "ci", "scopes": ["read"], "expiresAt": "2026-12-31T00:00:00Z"}
    made = await client.post("/api/v1/access/tokens", json=body)
    await client.get(f"/api/v1/exercises?searchString={token}")
    hashed = await connection.fetchval("SELECT password FROM user_account WHERE email = $1", address)
    text = log.text
    assert text
    for secret in (PASSWORD, "Wrong-one-7!", token, client.cookies["refresh_token"], made.json()["token"], hashed):
        assert secret not in text


async def test_a_slow_statement_is_logged_with_its_request(make_app: MakeApp, athlete: Actor, log: Log) -> None:
    client = (await make_app(LOG_LEVEL="INFO", SLOW_STATEMENT_MS="0")).client(cookies=athlete.client.cookies)
    answer = await client.get("/api/v1/exercises?pageSize=1")
    slow = [line for line in log.of(answer) if line["event"] == "slow statement"]
    assert slow
    assert all("SELECT" in line["statement"] for line in slow)


async def test_a_failed_statement_is_logged_with_its_request(
    make_app: MakeApp, athlete: Actor, connection: "asyncpg.Connection[asyncpg.Record]", log: Log
) -> None:
    client = (await make_app(LOG_LEVEL="INFO")).client(cookies=athlete.client.cookies)
    await connection.execute("ALTER TABLE equipment RENAME TO equipment_away")
    try:
        answer = await client.get("/api/v1/catalogs/equipment")
    finally:
        await connection.execute("ALTER TABLE equipment_away RENAME TO equipment")
    events = {line["event"]: line for line in log.of(answer)}
    assert "equipment" in events["statement failed"]["statement"]
    assert "Traceback" in events["unhandled"]["exception"]


async def test_a_line_is_for_a_person_when_json_is_off(make_app: MakeApp, log: Log) -> None:
    await (await make_app(LOG_LEVEL="INFO", USE_JSON_LOGS="false")).client().get("/nothing")
    [line] = [line for line in log.text.splitlines() if "/nothing" in line]
    assert "404" in line
    assert not line.startswith("{")


async def test_a_file_gets_the_same_lines(make_app: MakeApp, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "irontrack.log"
    answer = await (await make_app(LOG_LEVEL="INFO", LOG_FILE=str(file))).client().get("/nothing")
    assert answer.headers["x-request-id"] in log.text
    assert answer.headers["x-request-id"] in file.read_text()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "open sesame"),
        ("new_password", "open sesame"),
        ("access_token", "open sesame"),
        ("authorization", "open sesame"),
        ("cookie", "open sesame"),
        ("error", "could not use eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJvcGVuIHNlc2FtZSJ9.sesame"),
        ("error", "could not use irt_abcdefgh_sesame-sesame"),
        ("error", "postgresql://irontrack:sesame@127.0.0.1/irontrack"),
        ("error", "$argon2id$v=19$m=19456,t=2,p=1$sesame$sesame"),
    ],
)
def test_secrets_are_left_out_by_name_and_by_looks(log: Log, field: str, value: str) -> None:
    configure_logging(load_settings({"LOG_LEVEL": "INFO"}))
    structlog.get_logger("test").info("something", **{field: value})
    assert "something" in log.text
    assert "sesame" not in log.text


def test_secrets_in_tracebacks_are_left_out(log: Log) -> None:
    configure_logging(load_settings({"LOG_LEVEL": "INFO"}))
    try:
        int("postgresql://irontrack:sesame@127.0.0.1/irontrack")
    except ValueError:
        structlog.get_logger("test").exception("something")
    assert "Traceback" in log.text
    assert "sesame" not in log.text
