"""`litestar run`: the service as one works on it."""

import os
from pathlib import Path

import click
from granian.constants import Interfaces
from granian.server import Server

from app.cli.running import data_option, running
from app.cli.setup import prepare_database
from app.embedded import DataFolder
from app.embedded.services import signing_keys

__all__ = ("run",)

_CODE = Path(__file__).parents[1]


@click.command
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--reload/--no-reload", default=True, show_default=True, help="Start anew when the code changes.")
def run(data: Path, host: str, port: int, *, reload: bool) -> None:
    """Run one worker for development: it starts anew when the code changes, and its logs are for a person."""
    os.environ.setdefault("USE_JSON_LOGS", "false")
    with running(data, "litestar run") as settings:
        prepare_database(settings, click.echo)
        os.environ |= {
            "DATABASE_URL": settings.database.url,
            "VALKEY_URL": settings.cache.url,
            "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://{host}:{port}",
            **signing_keys(DataFolder(data), os.environ),
        }
        Server(
            "app.asgi:app",
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            websockets=False,
            reload=reload,
            reload_paths=[_CODE],
        ).serve()
