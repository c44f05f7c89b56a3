from asyncpg import Connection

from app.http.context import API
from tests.accounts.test_sign_out import assert_cleared
from tests.accounts.tokens import ACCESS, bearer, held, sid_of
from tests.actors import Actor, sign_in
from tests.service import Service

SESSIONS = f"{API}/access/sessions"


async def test_lists_where_i_am_signed_in(athlete: Actor, other_athlete: Actor, service: Service) -> None:
    phone = service.client(headers={"User-Agent": "Phone/2"})
    await sign_in(phone, athlete.email)
    sessions = (await phone.get(SESSIONS)).json()
    assert [session["current"] for session in sessions] == [True, False]
    first = sessions[0]
    assert set(first) == {"id", "createdAt", "lastUsedAt", "userAgent", "current"}
    assert first["id"] == str(sid_of(held(phone, ACCESS)))
    assert first["userAgent"] == "Phone/2"
    others = (await other_athlete.client.get(SESSIONS)).json()
    assert not {session["id"] for session in sessions} & {session["id"] for session in others}


async def test_dead_sessions_are_not_listed(athlete: Actor, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO user_session (id, user_id, expires_at, revoked_at) VALUES"
        " (gen_random_uuid(), $1, now() + interval '1 day', now()),"
        " (gen_random_uuid(), $1, now() - interval '1 second', NULL)",
        athlete.id,
    )
    assert len((await athlete.client.get(SESSIONS)).json()) == 1


async def test_ends_another_session_at_once(athlete: Actor, service: Service, connection: Connection) -> None:
    lost = service.client()
    await sign_in(lost, athlete.email)
    sid = sid_of(held(lost, ACCESS))
    assert (await lost.get(f"{API}/access/me")).status_code == 200
    answer = await athlete.client.delete(f"{SESSIONS}/{sid}")
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers
    assert (await lost.get(f"{API}/access/me")).status_code == 401
    assert (await lost.post(f"{API}/access/refresh-jwt")).status_code == 401
    assert await connection.fetchval("SELECT revoked_at FROM user_session WHERE id = $1", sid)
    assert (await athlete.client.get(f"{API}/access/me")).status_code == 200
    assert (await athlete.client.delete(f"{SESSIONS}/{sid}")).status_code == 404, "it is over"


async def test_ending_the_current_one_clears_the_cookies(athlete: Actor, service: Service) -> None:
    access = held(athlete.client, ACCESS)
    answer = await athlete.client.delete(f"{SESSIONS}/{sid_of(access)}")
    assert answer.status_code == 204
    assert_cleared(answer)
    assert (await bearer(service, access).get(f"{API}/access/me")).status_code == 401


async def test_a_foreign_session_looks_like_none(athlete: Actor, other_athlete: Actor) -> None:
    foreign = sid_of(held(other_athlete.client, ACCESS))
    headers = {"X-Request-ID": "same"}
    answers = [
        await athlete.client.delete(f"{SESSIONS}/{sid}", headers=headers)
        for sid in (foreign, "018f0000-0000-7000-8000-000000000000")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    first, second = ({**answer.json(), "instance": ""} for answer in answers)
    assert first == second
    assert (await other_athlete.client.get(f"{API}/access/me")).status_code == 200
