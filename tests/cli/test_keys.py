import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from app.cli.keys import keys_group
from app.http.context import API
from tests.accounts.tokens import ACCESS, bearer, header_of, held
from tests.actors import sign_in
from tests.conftest import MakeActor, MakeApp


async def run(environment: Mapping[str, str], *arguments: str) -> Result:
    # Commands run their own event loop.
    return await asyncio.to_thread(CliRunner().invoke, keys_group, arguments, env=environment)


async def test_rotation_and_retirement_reach_a_running_worker(
    base_environment: dict[str, str], make_app: MakeApp, make_actor: MakeActor, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    made = await run({}, "generate", "--output", str(file))
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await run({}, "generate", "--output", str(file))).exit_code == 1, "an old key is never overwritten"

    environment = {"JWT_PRIVATE_KEY": "", "JWT_KEYS_FILE": str(file)}
    app = await make_app(**environment)
    athlete = await make_actor(service=app)
    old_token = held(athlete.client, ACCESS)
    old = header_of(old_token)["kid"]
    commanded = {**base_environment, **environment}
    listed = await run(commanded, "list", "--json")
    assert json.loads(listed.stdout) == [{"kid": old, "signs": True}]

    rotated = await run(commanded, "rotate", "--json")
    assert rotated.exit_code == 0, rotated.output
    new = json.loads(rotated.stdout)[0]["kid"]
    assert json.loads(rotated.stdout) == [{"kid": new, "signs": True}, {"kid": old, "signs": False}]
    assert '"d"' not in rotated.output
    assert (await bearer(app, old_token).get(f"{API}/access/me")).status_code == 200
    await sign_in(athlete.client, athlete.email)
    assert header_of(held(athlete.client, ACCESS))["kid"] == new
    jwks = (await app.client().get("/.well-known/jwks.json")).json()
    assert [key["kid"] for key in jwks["keys"]] == [new, old]

    retired = await run(commanded, "rotate", "--retire", old, "--json")
    assert retired.exit_code == 0, retired.output
    assert old not in retired.stdout
    assert (await bearer(app, old_token).get(f"{API}/access/me")).status_code == 401
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200


async def test_keys_of_the_environment_are_not_rotated(base_environment: dict[str, str]) -> None:
    result = await run(base_environment, "rotate")
    assert result.exit_code == 1
    assert "JWT_PRIVATE_KEY" in result.stderr
    unknown = await run({**base_environment, "JWT_PRIVATE_KEY": "", "JWT_KEYS_FILE": "/nowhere"}, "list")
    assert unknown.exit_code == 1
    assert unknown.stdout == ""
