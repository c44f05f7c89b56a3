"""Running plans, workouts and runs: always the caller's own. Every statement here is limited to them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.running.recording import RunValues, StoredRun, hold_runner, record_runs

__all__ = ("RunService", "RunValues", "StoredRun", "hold_runner", "record_runs")


class RunService:
    """Records, changes and deletes runs."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, user_id: UUID, runs: Sequence[RunValues]) -> list[StoredRun]:
        """Store many runs of a user in this transaction: see `record_runs`."""
        return await record_runs(self._session, user_id, runs)
