"""The route of clients that keep a copy."""

from typing import Annotated, Any

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter

from app.domain.sync.dto import Changes
from app.domain.sync.services import ChangeReader
from app.http.dto import StrictDTO
from app.http.problems import PROBLEM_TYPE, Problem
from app.security.principal import Principal

__all__ = ("SYNC", "SyncController")

Since = Annotated[
    str | None, QueryParameter(name="since", description="nextCursor of the answer before; empty: everything.")
]
PageSize = Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)]


class SyncController(Controller):
    """What has changed of the caller's own."""

    path = "/sync"
    tags = ["Sync"]
    return_dto = StrictDTO[Any]

    @get(
        operation_id="listChanges",
        summary="What of mine was changed or deleted since",
        responses={
            410: ResponseSpec(
                Problem,
                generate_examples=False,
                description="This cursor is of no use any more; begin again without one.",
                media_type=PROBLEM_TYPE,
            )
        },
    )
    async def find(
        self,
        change_reader: NamedDependency[ChangeReader],
        principal: NamedDependency[Principal],
        since: Since = None,
        page_size: PageSize = 20,
    ) -> Changes:
        """My sessions, units, plans, custom exercises and runs, each as its own route shows it, and what was deleted.

        Every state is sent once, when all that was written before it is settled. Ask again with `nextCursor`, at once
        while `hasMore`; what came before in the same part may refer to what comes later.
        """
        return await change_reader.find(principal, since, page_size)


SYNC: list[type[Controller]] = [SyncController]
