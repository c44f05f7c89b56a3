"""All commands, so that one place adds them to `litestar`."""

import click

from app.cli.catalogue import catalogue_group
from app.cli.database import database_group
from app.cli.development import run
from app.cli.keys import keys_group
from app.cli.roles import roles_group
from app.cli.service import down, reset, status, up
from app.cli.stack import stack_group
from app.cli.users import users_group

__all__ = ("register",)


def register(cli: click.Group) -> None:
    """Add our commands to those of Litestar."""
    groups = (users_group, roles_group, catalogue_group, keys_group, database_group, stack_group)
    for command in (up, down, status, reset, run, *groups):
        cli.add_command(command)
