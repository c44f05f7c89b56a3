"""`litestar keys …`: the keys that sign tokens."""

import json
import os
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from app.cli.running import data_option, run_with_resources
from app.resources import Resources, load_keys
from app.security.invalidations import SIGNING_KEYS
from app.security.keys import KeyRing, KeyRingError
from app.settings import Settings, SettingsError, load_settings

__all__ = ("keys_group",)

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


class ListedKey(Struct):
    """A key, by what is public of it.

    Attributes:
        signs: whether new tokens are signed with it; the others only verify.
    """

    kid: str
    signs: bool


@click.group("keys")
def keys_group() -> None:
    """Manage the keys that sign tokens."""


@keys_group.command("generate")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a new file for JWT_KEYS_FILE, mode 0600."
)
def generate(output: Path | None) -> None:
    """Make a signing key and print it as a JWK, for JWT_PRIVATE_KEY."""
    ring = KeyRing.generate()
    if output is None:
        click.echo(json.dumps(ring.signing_key.as_dict(private=True)))
        return
    if output.exists():
        raise click.ClickException(f"{output} is there already; `litestar keys rotate` adds a key to it.")
    _save(ring, output)
    click.echo(f"Wrote {output}.")


@keys_group.command("rotate")
@click.option("--retire", multiple=True, metavar="KID", help="Trust nothing any more that this key signed.")
@data_option
@json_option
def rotate(retire: tuple[str, ...], data: Path, as_json: bool) -> None:
    """Sign with a new key from now on, in every worker. The older ones still verify until they are retired."""
    if os.environ.get("JWT_PRIVATE_KEY"):
        raise click.ClickException("JWT_PRIVATE_KEY holds the keys: put a new one first in it, and restart.")

    async def work(resources: Resources) -> KeyRing:
        ring = resources.tokens.keys.rotate()
        for kid in retire:
            ring = ring.retire(kid)
        ring.save(resources.settings.keys_file)
        await resources.publish([SIGNING_KEYS])
        return ring

    try:
        ring = run_with_resources(data, "litestar keys rotate", work)
    except KeyRingError as error:
        raise click.ClickException(str(error)) from None
    _show(ring, as_json)


@keys_group.command("list")
@data_option
@json_option
def find(data: Path, as_json: bool) -> None:
    """List the keys, the one that signs first."""
    try:
        _show(load_keys(_settings(data)), as_json)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _settings(data: Path) -> Settings:
    """The settings as they are without any server."""
    return load_settings({**os.environ, "IRONTRACK_DATA": str(data)})


def _save(ring: KeyRing, path: Path) -> None:
    try:
        ring.save(path)
    except OSError as error:
        raise click.ClickException(f"{path} can't be written: {error.strerror}.") from None


def _show(ring: KeyRing, as_json: bool) -> None:
    keys = [ListedKey(kid, kid == ring.signing_kid) for kid in ring.kids]
    if as_json:
        click.echo(msgspec.json.encode(keys).decode())
        return
    for key in keys:
        click.echo(f"{key.kid}  {'signs' if key.signs else 'verifies'}")
