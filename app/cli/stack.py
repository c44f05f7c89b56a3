"""`litestar stack …`: the production stack as plain processes, and its files for containers and units."""

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

import asyncpg
import click
import msgspec
from advanced_alchemy.exceptions import AdvancedAlchemyError
from sqlalchemy.exc import SQLAlchemyError

from app.cli.running import data_option
from app.cli.service import Teller, end_owner, fail, open_standard_streams, owned, prepare, send_to_owner
from app.cli.setup import prepare_database
from app.embedded import DataFolder, EmbeddedPostgres, FolderError, NotEmbeddable, StartFailed
from app.embedded.folder import Owner, replace_secret
from app.embedded.listener import Address, AddressError
from app.embedded.postgres import OWNER, OWNER_FILE
from app.http.context import API
from app.settings import SettingsError, load_settings
from app.stack.databases import apply_roles
from app.stack.files import CONTAINERS, TARGETS, Installation, container_files, systemd_files, write_files
from app.stack.node import serve_node
from app.stack.pgbouncer import AUTH_USER
from app.stack.programs import find_proxy
from app.stack.secrets import RENEWABLE, make_secrets
from app.stack.supervisor import RELOAD, StackOptions, StackRunning, StackSupervisor

__all__ = ("stack_group",)

_UP: Final = "litestar stack up"
_NOT_RUNNING: Final = 3
_ENDS_WITHIN: Final = 180.0
_RELOADS_WITHIN: Final = 300.0

_file = click.Path(exists=True, dir_okay=False, resolve_path=True)


@click.group("stack")
def stack_group() -> None:
    """The production stack: a proxy, two application nodes, PgBouncer, PostgreSQL and Valkey."""


@stack_group.command("up")
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that the proxy listens on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--workers", type=click.IntRange(2, 64), default=2, show_default=True, help="Over both nodes.")
@click.option("--certificate", type=_file, help="A PEM file: TLS and HTTP/2.")
@click.option("--certificate-key", type=_file, help="Its private key.")
@click.option("--redirect-port", type=click.IntRange(0, 65535), help="Plain HTTP here, which sends everybody to TLS.")
@click.option("--proxy", default="", help="The proxy's program; else Angie, else nginx.")
@click.option("--pgbouncer/--no-pgbouncer", default=True, help="Between the nodes and the embedded PostgreSQL.")
@click.option("--server-connections", type=click.IntRange(1, 500), default=20, show_default=True, help="Of PgBouncer.")
@click.option("--variables", type=_file, help="A file with settings, read again by each reload.")
@click.option("--rate", type=click.IntRange(1), default=50, show_default=True, help="Requests a second of an address.")
@click.option("--burst", type=click.IntRange(0), default=200, show_default=True, help="And how many more at once.")
@click.option("--connections", type=click.IntRange(1), default=100, show_default=True, help="Of an address.")
def up(
    data: Path, host: str, port: int, workers: int, certificate: str | None,
    certificate_key: str | None, redirect_port: int | None, proxy: str,
    server_connections: int, variables: str | None, rate: int, burst: int, connections: int, *, pgbouncer: bool
) -> None:  # fmt: skip
    """Run the stack until a signal comes. Whatever ends is started again."""
    if bool(certificate) != bool(certificate_key):
        fail("A certificate needs its key, and a key its certificate.")
    if redirect_port is not None and not certificate:
        fail("Without a certificate there is no TLS to send anybody to.")
    open_standard_streams()
    tell = Teller(time.monotonic())
    options = StackOptions(
        host=host,
        port=port,
        workers=workers,
        pgbouncer=pgbouncer,
        server_connections=server_connections,
        certificate=certificate or "",
        certificate_key=certificate_key or "",
        redirect_port=redirect_port,
        variables_file=variables or "",
        rate=rate,
        burst=burst,
        connections=connections,
    )
    try:
        program = find_proxy(proxy)
        folder = DataFolder(data)
        with owned(folder, tell, _UP):
            supervisor = StackSupervisor(
                folder, options, program, prepare=partial(prepare, tell, demo=False), say=tell, environment=os.environ
            )
            try:
                asyncio.run(supervisor.run(lambda: _tell_ready(tell, supervisor.url)))
            finally:
                supervisor.release()
    except (AddressError, FolderError, NotEmbeddable, SettingsError, StartFailed) as error:
        fail(str(error))


def _tell_ready(tell: Teller, url: str) -> None:
    tell("Ready.")
    tell.plain(f"\n  API     {url}{API}\n  Docs    {url}/docs\n  Health  {url}/health\n")


def _owner(folder: DataFolder) -> Owner | None:
    owner = folder.owner()
    return owner if owner is not None and owner.command == _UP else None


def _state(folder: DataFolder) -> StackRunning | None:
    try:
        return msgspec.json.decode(folder.state_file.read_bytes(), type=StackRunning)
    except (OSError, msgspec.MsgspecError):
        # It's being started or stopped.
        return None


@stack_group.command("down")
@data_option
def down(data: Path) -> None:
    """End the stack, after the requests in flight."""
    end_owner(DataFolder(data), _UP, _ENDS_WITHIN)


@stack_group.command("reload")
@data_option
def reload(data: Path) -> None:
    """Take over new code, settings, configuration and certificate without losing a request; wait until it's done."""
    folder = DataFolder(data)
    _reload(folder, *_running(folder))
    click.echo("Reloaded.")


@stack_group.command("rotate-passwords")
@data_option
def rotate_passwords(data: Path) -> None:
    """Give the application and PgBouncer new passwords of the embedded PostgreSQL, without losing a request."""
    folder = DataFolder(data)
    owner, state = _running(folder)
    if EmbeddedPostgres.name not in state.parts:
        fail("PostgreSQL is not embedded there: it gets its new passwords where it runs.")
    application, pooler = token_urlsafe(24), token_urlsafe(24)
    try:
        # Should we end after this, the next reload gives the roles back the passwords that the files have.
        superuser_url = EmbeddedPostgres(folder.path).superuser_url
        asyncio.run(apply_roles(superuser_url, {OWNER: application, AUTH_USER: pooler}))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"PostgreSQL can't be told: {error}")
    replace_secret(folder.path / OWNER_FILE, application)
    replace_secret(folder.path / "pgbouncer.password", pooler)
    _reload(folder, owner, state)
    click.echo("The passwords are new ones.")


def _running(folder: DataFolder) -> tuple[Owner, StackRunning]:
    owner, state = _owner(folder), _state(folder)
    if owner is None or state is None:
        fail("The stack does not run there.")
    return owner, state


def _reload(folder: DataFolder, owner: Owner, state: StackRunning) -> None:
    send_to_owner(owner, RELOAD)
    limit = time.monotonic() + _RELOADS_WITHIN
    while (now := _state(folder)) is None or now.reloads == state.reloads:
        if _owner(folder) != owner:
            fail("The stack ended meanwhile.")
        if time.monotonic() > limit:
            fail(f"It did not reload within {_RELOADS_WITHIN:.0f} s.")
        time.sleep(0.05)
    if now.failure:
        fail(now.failure)


@stack_group.command("status")
@data_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(data: Path, *, as_json: bool) -> None:
    """Tell what runs: exit code 0 when all parts do, 1 when not, 3 when the stack doesn't run."""
    folder = DataFolder(data)
    owner, state = _owner(folder), _state(folder)
    if owner is None:
        click.echo("{}" if as_json else "It does not run.")
        sys.exit(_NOT_RUNNING)
    if state is None:
        click.echo("{}" if as_json else "It is being started or stopped.")
        sys.exit(1)
    running = {name: _alive(pid) for name, pid in state.parts.items()}
    health = {name: _health(socket) for name, socket in state.nodes.items()}
    well = all(running.values()) and set(health.values()) == {"ok"}
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.structs.asdict(state), "health": health, "well": well}).decode())
    else:
        click.echo(f"{'url':<11} {state.url}")
        for name, pid in state.parts.items():
            click.echo(f"{name:<11} {pid if running[name] else 'does not run'} {health.get(name, '')}".rstrip())
        click.echo(f"{'reloads':<11} {state.reloads}{': ' if state.failure else ''}{state.failure}")
    sys.exit(0 if well else 1)


def _health(socket: str) -> str:
    try:
        answer = msgspec.json.decode(Address(uds=socket).get("/health", timeout=5)[1], type=dict[str, object])
    except (OSError, msgspec.MsgspecError):
        return "no answer"
    return str(answer.get("status"))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@stack_group.command("migrate")
@click.option(
    "--wait", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds for PostgreSQL to come."
)
def migrate(wait: float) -> None:
    """Apply the migrations and seed, on the PostgreSQL of DATABASE_URL itself, not through PgBouncer."""
    limit = time.monotonic() + wait
    while True:
        try:
            prepare_database(load_settings(), click.echo)
        except SettingsError as error:
            fail(str(error))
        except (OSError, SQLAlchemyError, AdvancedAlchemyError, asyncpg.PostgresError) as error:
            if time.monotonic() > limit:
                fail(f"The database can't be prepared: {str(error).splitlines()[0]}")
            time.sleep(1)
        else:
            return


@stack_group.command("serve")
@click.option("--uds", type=click.Path(dir_okay=False), default="", help="The socket, unless systemd hands one over.")
@click.option("--host", default="127.0.0.1", show_default=True, help="For a proxy on another machine: our address.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="There, without --uds.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer.")
def serve(uds: str, host: str, port: int, workers: int) -> None:
    """Be one node of the application, in a container or a unit.

    On a host and a port it talks plain HTTP, and believes X-Real-IP from TRUSTED_PROXIES alone.
    """
    try:
        serve_node(Address(host, port, uds), workers, load_settings())
    except (AddressError, SettingsError) as error:
        fail(str(error))


@stack_group.command("secrets")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--renew", multiple=True, type=click.Choice(RENEWABLE), help="Replace this password.")
def secrets(folder: Path, renew: tuple[str, ...]) -> None:
    """Make the secrets that containers and units need, as files; those that exist stay as they are."""
    changed = make_secrets(folder, renew)
    click.echo(f"Made {', '.join(changed)} in {folder}." if changed else f"All secrets are in {folder}.")


@stack_group.command("files")
@click.argument("target", type=click.Choice(TARGETS))
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="The folder; for containers their own."
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of each node.")
@click.option("--node", "nodes", multiple=True, metavar="HOST:PORT", help="A node on another machine; for systemd.")
def files(target: str, output: Path | None, workers: int, nodes: tuple[str, ...]) -> None:
    """Write the files for containers, or units and configuration for systemd, from the templates."""
    installation = Installation(workers=workers)
    if nodes:
        installation = msgspec.structs.replace(installation, nodes=nodes)
    if target == "containers":
        folder, rendered = output or CONTAINERS, container_files()
    else:
        folder, rendered = output or Path("systemd"), systemd_files(installation)
    changed = write_files(rendered, folder)
    click.echo(f"Wrote {', '.join(changed)} to {folder}." if changed else f"{folder} is up to date.")
