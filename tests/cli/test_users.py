"""Commands about accounts: what they change shows in the very next request."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from asyncpg import Connection
from click.testing import CliRunner, Result

from app.cli.keys import keys_group
from app.cli.roles import roles_group
from app.cli.users import users_group
from app.http.context import API
from tests.accounts.tokens import ACCESS, bearer, held
from tests.actors import Actor, sign_in
from tests.cli.up import LITESTAR
from tests.conftest import MakeApp
from tests.factories import PASSWORD, APITokenFactory, email
from tests.service import Service
from tests.waiting import eventually

Run = Callable[..., Awaitable[Result]]

GROUPS = {group.name: group for group in (users_group, roles_group, keys_group)}
NEW_PASSWORD = "New-battery_9"


@pytest.fixture
def run(base_environment: Mapping[str, str], clean: None) -> Run:
    """Runs a command on the servers of the tests, beside the service that is under test."""

    async def command(group: str, *arguments: str, stdin: str | None = None) -> Result:
        # Commands run their own event loop.
        return await asyncio.to_thread(CliRunner().invoke, GROUPS[group], arguments, input=stdin, env=base_environment)

    return command


async def test_create(run: Run, service: Service, connection: Connection) -> None:
    address = email()
    options = ("--email", address.upper(), "--name", "Grace", "--password-stdin", "--superuser", "--json")
    result = await run("users", "create", *options, stdin=f"{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    user = json.loads(result.stdout)
    assert (user["email"], user["name"], user["isSuperuser"], user["roleSlug"]) == (address, "Grace", True, "superuser")
    client = service.client()
    await sign_in(client, address)
    assert (await client.get(f"{API}/users")).status_code == 200
    again = await run("users", "create", "--email", address, "--password", PASSWORD)
    assert again.exit_code == 1
    assert again.stdout == ""
    assert "There is an account with this e-mail address." in again.stderr
    assert await connection.fetchval("SELECT count(*) FROM user_account") == 1


async def test_create_keeps_the_rules(run: Run, connection: Connection) -> None:
    result = await run("users", "create", "--email", "nobody", "--password", "short")
    assert result.exit_code == 1
    assert "email:" in result.stderr
    assert "password:" in result.stderr
    assert await connection.fetchval("SELECT count(*) FROM user_account") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "--email", "a@example.com"),
        ("create", "--email", "a@example.com", "--password", "x", "--password-stdin"),
        ("promote",),
        ("promote", "a@example.com", "--email", "b@example.com"),
        ("reset-password", "a@example.com"),
    ],
)
async def test_nothing_is_asked_without_a_terminal(run: Run, arguments: tuple[str, ...]) -> None:
    result = await run("users", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr


async def test_promote_and_demote(run: Run, athlete: Actor, superuser: Actor, service: Service) -> None:
    promoted = await run("users", "promote", athlete.email.upper())
    assert promoted.exit_code == 0, promoted.output
    assert (await athlete.client.get(f"{API}/users")).status_code == 200
    token = (await athlete.client.post(f"{API}/access/tokens", json=APITokenFactory.build())).json()["token"]
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 200

    demoted = await run("users", "demote", "--email", athlete.email, "--json")

    assert json.loads(demoted.stdout)["roleSlug"] == "application-access"
    assert (await athlete.client.get(f"{API}/users")).status_code == 403
    assert (await bearer(service, token).get(f"{API}/access/me")).status_code == 401
    assert (await superuser.client.get(f"{API}/users")).status_code == 200


async def test_deactivate_and_activate(run: Run, athlete: Actor, service: Service) -> None:
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    assert (await run("users", "deactivate", athlete.email)).exit_code == 0
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401
    signin = {"email": athlete.email, "password": athlete.password}
    assert (await service.client().post(f"{API}/access/signin", json=signin)).status_code == 401
    assert (await run("users", "activate", athlete.email)).exit_code == 0
    await sign_in(service.client(), athlete.email)


async def test_other_machines_hear_of_it_within_a_second(
    run: Run, athlete: Actor, make_app: MakeApp, tmp_path: Path
) -> None:
    there = await make_app(REVOCATION_FILE=str(tmp_path / "another-machine"))
    await there.settled()
    client = bearer(there, held(athlete.client, ACCESS))
    assert (await client.get(f"{API}/access/me")).status_code == 200
    assert (await run("users", "deactivate", athlete.email)).exit_code == 0

    async def refused() -> bool:
        return (await client.get(f"{API}/access/me")).status_code == 401

    await eventually(refused, within=1.0)


async def test_reset_password(run: Run, athlete: Actor, service: Service) -> None:
    result = await run("users", "reset-password", athlete.email, "--password-stdin", stdin=f"{NEW_PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert NEW_PASSWORD not in result.output
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 401
    await sign_in(service.client(), athlete.email, NEW_PASSWORD)


@pytest.mark.parametrize("command", ["demote", "deactivate"])
async def test_the_last_active_superuser_stays(
    run: Run, superuser: Actor, connection: Connection, command: str
) -> None:
    result = await run("users", command, superuser.email)
    assert result.exit_code == 1
    assert "last active superuser" in result.stderr
    assert await connection.fetchval("SELECT is_superuser AND is_active FROM user_account")


@pytest.mark.parametrize("command", ["promote", "demote", "deactivate", "activate"])
async def test_unknown_accounts(run: Run, command: str) -> None:
    result = await run("users", command, "nobody@example.com")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "There is no user nobody@example.com." in result.stderr


async def test_list(run: Run, athlete: Actor, superuser: Actor) -> None:
    everybody = json.loads((await run("users", "list", "--json")).stdout)
    assert [user["email"] for user in everybody] == sorted([athlete.email, superuser.email])
    assert "password" not in everybody[0]
    found = await run("users", "list", "--search", athlete.email.upper())
    assert [line.split()[0] for line in found.stdout.splitlines()] == [athlete.email]
    assert (await run("users", "list", "--inactive")).stdout == ""


async def test_roles_create(run: Run, connection: Connection) -> None:
    options = ("--name", "Physiotherapist", "--slug", "physiotherapist", "--description", "Mends people.")
    result = await run("roles", "create", *options, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["slug"] == "physiotherapist"
    assert await connection.fetchval("SELECT name FROM role WHERE slug = 'physiotherapist'") == "Physiotherapist"
    again = await run("roles", "create", *options)
    assert again.exit_code == 1
    assert "There is a role" in again.stderr


def test_a_key_is_generated_with_nothing_at_all() -> None:
    result = subprocess.run([LITESTAR, "keys", "generate"], env={}, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["d"]
    for group in ("users", "roles", "keys"):
        assert CliRunner().invoke(GROUPS[group], ["--help"]).exit_code == 0
