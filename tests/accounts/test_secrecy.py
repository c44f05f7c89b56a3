"""No token, hash or password in any log, error or answer."""

from pathlib import Path

import pytest
from asyncpg import Connection

from app.http.context import API
from app.logs import writer
from tests.accounts.tokens import ACCESS, REFRESH, bearer, held, unsigned, with_cookies
from tests.conftest import MakeActor, MakeApp
from tests.factories import APITokenFactory

PASSWORDS = ("Wrong-horse7!", "Correct-horse7!", "New-battery_9", "Sh0rt!")


async def test_nothing_secret_is_told(
    make_app: MakeApp,
    make_actor: MakeActor,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = tmp_path / "log"
    for name in ("_file", "_logs_access"):
        # The writer is the process's own: what this app sets ends with this test.
        monkeypatch.setattr(writer, name, getattr(writer, name))
    app = await make_app(LOG_FILE=str(log), LOG_LEVEL="DEBUG", SLOW_STATEMENT_MS="0")
    athlete, root = await make_actor(service=app), await make_actor("superuser", service=app)
    access, refresh = held(athlete.client, ACCESS), held(athlete.client, REFRESH)
    personal = (await athlete.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]
    wrong = {"email": athlete.email, "password": PASSWORDS[0]}
    short = {"email": athlete.email, "password": PASSWORDS[3], "confirmPassword": PASSWORDS[3]}
    change = {"currentPassword": PASSWORDS[1], "newPassword": PASSWORDS[2]}
    answers = [
        await bearer(app, personal).get(f"{API}/access/me"),
        await bearer(app, unsigned(access, alg="none")).get(f"{API}/access/me"),
        await bearer(app, refresh).get(f"{API}/access/me"),
        await bearer(app, personal).post(f"{API}/access/tokens", json=APITokenFactory.build()),
        await app.client().post(f"{API}/access/signin", json=wrong),
        await app.client().post(f"{API}/access/signin", data={"username": athlete.email, "password": PASSWORDS[0]}),
        await app.client().post(f"{API}/access/signup", json=short),
        await app.client().post(f"{API}/access/signup", content=b'{"password": "' + PASSWORDS[3].encode()),
        await athlete.client.get(f"{API}/access/tokens"),
        await athlete.client.get(f"{API}/access/sessions"),
        await root.client.get(f"{API}/users"),
        await root.client.get(f"{API}/users", params={"token": personal}),
        await athlete.client.patch(f"{API}/access/password-update", json=change),
        await with_cookies(app, **{REFRESH: refresh}).post(f"{API}/access/refresh-jwt"),
    ]
    assert {answer.status_code for answer in answers} == {200, 204, 400, 401, 403, 422}
    hashes = [row["password"] for row in await connection.fetch("SELECT password FROM user_account")]
    signatures = [token.rpartition(".")[2] for token in (access, refresh)]
    secrets = [access, refresh, *signatures, personal, personal[-43:], *hashes, *PASSWORDS]

    writer.flush()
    told = {"log": log.read_text(), **{str(answer.url): answer.text for answer in answers}}

    assert '"path":"/api/v1/access/signin"' in told["log"]
    for where, text in told.items():
        assert not [secret for secret in secrets if secret in text], where
