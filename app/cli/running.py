"""What commands work on: the service's own PostgreSQL and Valkey."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from msgspec import structs
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.db.base import Base
from app.db.engine import database_config
from app.db.errors import translate
from app.embedded import FolderError, NotEmbeddable, StartFailed
from app.embedded.services import open_services
from app.errors import IronTrackError, RuleBroken
from app.resources import Resources
from app.security.keys import KeyRing
from app.settings import Settings, SettingsError, load_settings

__all__ = ("data_option", "run_with_resources", "running")

T = TypeVar("T")

_NO_SUCH_TABLE = "42P01"

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="IRONTRACK_DATA",
    default=".irontrack",
    show_default=True,
    help="The data folder.",
)


@contextmanager
def running(data: Path, command: str) -> Iterator[Settings]:
    """The settings with which the service's own servers are reached, which run until the block ends.

    Raises:
        click.ClickException: they can't be started, or a variable can't be used.
    """
    try:
        with open_services(data, command) as found:
            yield load_settings({**os.environ, **found})
    except (FolderError, NotEmbeddable, StartFailed, SettingsError) as error:
        raise click.ClickException(str(error)) from None


def run_with_resources(data: Path, command: str, work: Callable[[Resources], Awaitable[T]]) -> T:
    """Run a piece of work with the parts that a worker has; what it announces reaches every worker.

    Raises:
        click.ClickException: it failed, with a sentence that says why.
    """

    async def run(settings: Settings) -> T:
        async with Resources(settings, database_config(settings)).open() as resources:
            return await work(resources)

    with running(data, command) as settings:
        try:
            return asyncio.run(run(_with_some_key(settings)))
        except RuleBroken as error:
            raise click.ClickException(" ".join(detail.message for detail in error.details)) from None
        except (IronTrackError, SettingsError) as error:
            raise click.ClickException(str(error)) from None
        except (SQLAlchemyError, OSError) as error:
            raise click.ClickException(_sentence(error)) from None


def _with_some_key(settings: Settings) -> Settings:
    """The same settings with a key that lasts as long as the command, where there is none: commands sign nothing."""
    if settings.security.private_key or settings.keys_file.exists():
        return settings
    key = json.dumps(KeyRing.generate().signing_key.as_dict(private=True))
    return structs.replace(settings, security=structs.replace(settings.security, private_key=key))


def _sentence(error: SQLAlchemyError | OSError) -> str:
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _NO_SUCH_TABLE:
        return "The database has no tables yet: run `litestar up` or `litestar database upgrade` first."
    return str(translate(error, Base.metadata) or error)
