"""The whole service on one machine: `up`, `down`, `status` and `reset`."""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import click
import msgspec
from advanced_alchemy.exceptions import AdvancedAlchemyError
from rich.console import Console
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from app.cli.demo import create_demo
from app.cli.running import data_option
from app.cli.setup import prepare_database
from app.embedded import Busy, DataFolder, FolderError, NotEmbeddable, StartFailed
from app.embedded.folder import Owner
from app.embedded.listener import Address, AddressError, listen, release
from app.embedded.supervisor import Running, Supervisor
from app.http.context import API
from app.resources import load_keys
from app.settings import AppSettings, SettingsError, load_settings

__all__ = (
    "Teller",
    "down",
    "end_owner",
    "fail",
    "open_standard_streams",
    "owned",
    "prepare",
    "reset",
    "send_to_owner",
    "status",
    "up",
)

_UP: Final = "litestar up"
_NOT_RUNNING: Final = 3
_OTHER_COMMANDS: Final = 15.0
_ENDS_WITHIN: Final = 10.0


@click.command
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--uds", type=click.Path(dir_okay=False), default="", help="Listen on this Unix socket instead.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes that answer.")
@click.option("--demo", is_flag=True, help="Add an athlete with six weeks of workouts to look at.")
def up(data: Path, host: str, port: int, uds: str, workers: int, *, demo: bool) -> None:
    """Run the service, with its own PostgreSQL and Valkey unless DATABASE_URL and VALKEY_URL name others."""
    open_standard_streams()
    began = time.monotonic()
    tell = Teller(began)
    try:
        load_settings()
        folder = DataFolder(data)
        with owned(folder, tell, _UP):
            listeners, address = listen(Address(host, port, uds), workers)
            try:
                supervisor = Supervisor(
                    folder,
                    listeners,
                    address,
                    workers,
                    prepare=partial(prepare, tell, demo=demo),
                    say=tell,
                    environment=os.environ,
                )
                asyncio.run(supervisor.run(partial(_tell_ready, tell, address, data)))
            finally:
                release(listeners, address)
    except (AddressError, FolderError, NotEmbeddable, SettingsError, StartFailed) as error:
        fail(str(error))


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Be silent from now on. The parent's method ends the program, but nobody has to listen to a service."""
        self.quiet = True


class Teller:
    """Tells what happens, a line each: with the time that it took on a terminal, without colours elsewhere."""

    def __init__(self, began: float) -> None:
        self._console = _Terminal(highlight=False, soft_wrap=True)
        self._began = began

    def __call__(self, text: str) -> None:
        """A line with the time."""
        # A terminal that was closed, or a pipe that nobody reads any more, must not end the service.
        with contextlib.suppress(OSError):
            self._console.print(Text.assemble((f"{time.monotonic() - self._began:5.1f} s", "dim"), "  ", text))

    def plain(self, text: str) -> None:
        """A line, or some, without the time."""
        with contextlib.suppress(OSError):
            self._console.print(text, markup=False)


@contextlib.contextmanager
def owned(folder: DataFolder, tell: Teller, command: str) -> Iterator[None]:
    """Own the data folder; another command that uses it for a moment is waited for, another `up` isn't."""
    limit = time.monotonic() + _OTHER_COMMANDS
    told = False
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(folder.owned(command))
                break
            except Busy as busy:
                if busy.owner.command == command or time.monotonic() > limit:
                    raise
                if not told:
                    tell(f"Waiting for {busy.owner} to end.")
                told = True
                time.sleep(0.1)
        yield


def prepare(tell: Teller, environment: Mapping[str, str], *, demo: bool) -> None:
    """Runs in a process of its own, with the environment of the service."""
    try:
        settings = load_settings(environment)
        load_keys(settings)
        prepare_database(settings, tell)
        if demo and (account := create_demo(settings)):
            tell.plain(f"Demo athlete: {account.email}, password {account.password} (shown this once)")
    except SettingsError as error:
        fail(str(error))
    except (OSError, SQLAlchemyError, AdvancedAlchemyError) as error:
        fail(f"The database can't be prepared: {str(error).splitlines()[0]}")


def _tell_ready(tell: Teller, address: Address, data: Path) -> None:
    """Say where everything is."""
    tell("Ready.")
    if address.uds:
        tell.plain(
            f"IronTrack answers on the Unix socket {address.uds}: API under /api/v1, docs at /docs, health at /health"
        )
    else:
        tell.plain(
            f"""
  API     {address.url}{API}
  Docs    {address.url}/docs
  Health  {address.url}/health
"""
        )
    runner = "python3 -m uv run " if "UV" in os.environ else ""
    option = "" if data == AppSettings().data else f" --data {shlex.quote(str(data))}"
    tell.plain(f"  The first superuser: {runner}litestar users create --superuser{option}")
    tell.plain(f"  To stop it: Ctrl-C here, or {runner}litestar down{option}")


@click.command
@data_option
def down(data: Path) -> None:
    """Stop the service of a data folder."""
    end_owner(DataFolder(data), _UP, _ENDS_WITHIN)


def end_owner(folder: DataFolder, command: str, within: float) -> None:
    """End the command that owns a data folder, and wait until it has ended.

    Args:
        command: the one that may be ended; others end by themselves.
        within: seconds.
    """
    owner = folder.owner()
    if owner is None:
        click.echo("Nothing runs there.")
        return
    if owner.command != command:
        fail(f"{folder.path} is in use by {owner}: `{command}` does not run there.")
    send_to_owner(owner, signal.SIGTERM)
    limit = time.monotonic() + within
    while (now := folder.owner()) is not None and now.pid == owner.pid:
        if time.monotonic() > limit:
            fail(f"{owner} did not end within {within:.0f} s.")
        time.sleep(0.05)
    click.echo("Stopped.")


def send_to_owner(owner: Owner, number: signal.Signals) -> None:
    """Send a signal to the process that owns a data folder."""
    try:
        os.kill(owner.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        fail(f"{owner} belongs to another user.")


class Status(msgspec.Struct):
    """What `litestar status --json` tells."""

    running: bool
    data: str
    pid: int | None = None
    url: str | None = None
    workers: int | None = None
    postgresql: str | None = None
    valkey: str | None = None
    health: dict[str, object] | None = None


@click.command
@data_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(data: Path, *, as_json: bool) -> None:
    """Tell whether the service runs: exit code 0 when it's well, 1 when it isn't, 3 when it doesn't run."""
    found = _status(DataFolder(data))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    elif not found.running:
        click.echo("It does not run.")
    else:
        for name in ("pid", "url", "workers", "postgresql", "valkey"):
            click.echo(f"{name:<11} {getattr(found, name)}")
        click.echo(f"{'health':<11} {found.health['status'] if found.health else 'no answer'}")
    well = found.health is not None and found.health.get("status") == "ok"
    sys.exit(0 if well else 1 if found.running else _NOT_RUNNING)


def _status(folder: DataFolder) -> Status:
    owner = folder.owner()
    if owner is None or owner.command != _UP:
        return Status(running=False, data=str(folder.path))
    found = Status(running=True, data=str(folder.path), pid=owner.pid)
    try:
        state = msgspec.json.decode(folder.state_file.read_bytes(), type=Running)
        found.url, found.workers = state.address.url, state.workers
        found.postgresql, found.valkey = state.servers["postgresql"], state.servers["valkey"]
        found.health = msgspec.json.decode(state.address.get("/health", timeout=5)[1], type=dict[str, object])
    except (OSError, msgspec.MsgspecError):
        # It's being started or stopped.
        return found
    return found


@click.command
@data_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset(data: Path, *, yes: bool) -> None:
    """Delete the data folder: every account, every workout, the keys. Servers that URLs name are not touched."""
    folder = DataFolder(data)
    if not folder.path.exists():
        click.echo("There is nothing to delete.")
        return
    if not yes and not sys.stdin.isatty():
        fail("This deletes everything: say --yes.")
    if not yes:
        click.confirm(f"Delete everything in {folder.path}?", abort=True)
    try:
        with folder.owned("litestar reset"):
            folder.erase()
    except FolderError as error:
        fail(str(error))
    click.echo(f"Deleted {folder.path}.")


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence."""
    with contextlib.suppress(OSError):
        click.echo(f"Error: {sentence}", err=True)
    sys.exit(1)


def open_standard_streams() -> None:
    """Whoever starts us may have closed them; then the next files that we open would be taken for them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (for as long as we live)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
