"""Answers that are kept with the write that they tell of, so that the same request sent again gets the same answer."""

from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Conflict, RuleBroken

__all__ = ("KeptAnswer", "KeyedRequest", "claim", "keep")

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_FIND = text("""
    SELECT body_hash, status, headers::text, body FROM idempotency_key
    WHERE user_id = :user_id AND key = :key AND method = :method AND path = :path
      AND created_at > now() - interval '24 hours'
""")
_KEEP = text("""
    INSERT INTO idempotency_key (user_id, key, method, path, body_hash, status, headers, body)
    VALUES (:user_id, :key, :method, :path, :body_hash, :status, CAST(:headers AS jsonb), :body)
    ON CONFLICT (user_id, key, method, path) DO UPDATE
    SET body_hash = excluded.body_hash, status = excluded.status, headers = excluded.headers, body = excluded.body,
        created_at = now()
""")


class KeyedRequest(Struct, frozen=True):
    """A request with an Idempotency-Key.

    Attributes:
        body_hash: 32 bytes that no other body has.
    """

    user_id: UUID
    key: str
    method: str
    path: str
    body_hash: bytes


class KeptAnswer(Struct, frozen=True):
    """An answer as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


async def claim(session: AsyncSession, request: KeyedRequest) -> KeptAnswer | None:
    """Hold the key until the transaction ends; the first answer, if there is one.

    Raises:
        Conflict: a request with this key is still running.
        RuleBroken: the key was used with another body.
    """
    name = f"{request.user_id} {request.method} {request.path} {request.key}"
    if not await session.scalar(_LOCK, {"name": name}):
        raise Conflict("A request with this Idempotency-Key is still running.")
    found = (
        await session.execute(
            _FIND, {"user_id": request.user_id, "key": request.key, "method": request.method, "path": request.path}
        )
    ).one_or_none()
    if found is None:
        return None
    body_hash, status, headers, body = found
    if body_hash != request.body_hash:
        raise RuleBroken.of("Idempotency-Key", "This key was used with another body.")
    return KeptAnswer(status, msgspec.json.decode(headers, type=dict[str, str]), body or b"")


async def keep(session: AsyncSession, request: KeyedRequest, answer: KeptAnswer) -> None:
    """Store the answer in the session's transaction."""
    await session.execute(
        _KEEP,
        {
            **msgspec.structs.asdict(request),
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "body": answer.body,
        },
    )
