from datetime import UTC, datetime, timedelta

from asyncpg import Connection

from app.domain.system.services import sweep
from app.plugin import IronTrackPlugin
from tests.actors import Actor
from tests.service import Service

SESSION = "INSERT INTO user_session (id, user_id, expires_at, revoked_at) VALUES (gen_random_uuid(), $1, $2, $3)"
TOKEN = (
    "INSERT INTO api_token (id, user_id, name, prefix, hash, scopes, expires_at, revoked_at)"
    " VALUES (gen_random_uuid(), $1, 'x', 'abcdefgh', sha256(random()::text::bytea), '{read}', $2, $3)"
)


async def test_what_ended_a_month_ago_is_dropped(athlete: Actor, service: Service, connection: Connection) -> None:
    now = datetime.now(UTC)
    long_ago, lately, later = (now + timedelta(days=days) for days in (-31, -29, 9))
    for statement in (SESSION, TOKEN):
        for expires_at, revoked_at in (
            (long_ago, None),
            (later, long_ago),
            (lately, None),
            (later, lately),
            (later, None),
        ):
            await connection.execute(statement, athlete.id, expires_at, revoked_at)
    async with service.litestar.plugins.get(IronTrackPlugin).resources.transactions.begin() as session:
        await sweep(session)
    assert await connection.fetchval("SELECT count(*) FROM user_session") == 3 + 1, "the athlete's own too"
    assert await connection.fetchval("SELECT count(*) FROM api_token") == 3
