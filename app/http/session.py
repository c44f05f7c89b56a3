"""The dependency ``db_session``: the transaction of a request, and the answer that is kept with it."""

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.idempotency import KeyedRequest, claim, keep
from app.db.transaction import Transactions
from app.http.idempotency import Replay, encoded_answer, keyed_request, refused_answer

__all__ = ("provide_db_session",)


async def provide_db_session(
    request: Request[Any, Any, Any], transactions: NamedDependency[Transactions]
) -> AsyncGenerator[AsyncSession, None]:
    """A session that is committed once the handler has made its answer, and before the answer is sent."""
    keyed = await keyed_request(request)
    try:
        async with transactions.begin() as session:
            if keyed:
                await _claim(session, keyed)
            yield session
            if keyed and (answer := encoded_answer(request)):
                await keep(session, keyed, answer)
    except Replay:
        raise
    except Exception as error:
        if keyed and (refusal := refused_answer(error, request)):
            async with transactions.begin() as session:
                await _claim(session, keyed)
                await keep(session, keyed, refusal)
        raise


async def _claim(session: AsyncSession, keyed: KeyedRequest) -> None:
    if answer := await claim(session, keyed):
        raise Replay(answer)
