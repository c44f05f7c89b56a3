"""What a database needs before it can serve: the schema, the roles, the catalogue."""

import asyncio
from collections.abc import Callable

from advanced_alchemy.alembic.commands import AlembicCommands

from app.db.engine import database_config
from app.db.transaction import Transactions
from app.domain.accounts.services import seed_roles
from app.domain.catalogue.seed import seed_changed_catalogue
from app.settings import Settings

__all__ = ("prepare_database",)


def prepare_database(settings: Settings, tell: Callable[[str], None]) -> None:
    """Apply the migrations, then seed roles and catalogue; all of it may be repeated.

    Args:
        tell: is told each step, in a few words.
    """
    tell("Applying migrations")
    AlembicCommands(sqlalchemy_config=database_config(settings)).upgrade()
    tell("Seeding roles and catalogue")
    asyncio.run(_seed(settings))


async def _seed(settings: Settings) -> None:
    config = database_config(settings)
    engine = config.get_engine()
    try:
        async with Transactions(config.create_session_maker(), _tell_nobody).begin() as session:
            await seed_roles(session)
            await seed_changed_catalogue(session)
    finally:
        await engine.dispose()


async def _tell_nobody(_: object) -> None:
    """Nothing that anybody keeps in memory is changed by seeding."""
