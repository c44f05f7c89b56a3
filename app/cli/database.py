"""`litestar database …`: Advanced Alchemy's commands, on the service's own PostgreSQL."""

from typing import Any

import click
from advanced_alchemy.cli import add_migration_commands
from advanced_alchemy.extensions.litestar import SQLAlchemyInitPlugin
from litestar.cli._utils import LitestarGroup

from app.cli.backup import backup_command, restore_command
from app.cli.running import data_option, running

__all__ = ("database_group",)


class DatabaseGroup(LitestarGroup):
    """Finds PostgreSQL, or starts it, before one of its commands runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command on the database of the data folder, or the one that DATABASE_URL names."""
        if ctx.obj is None or {"--help", "-h"} & {*ctx.args, *ctx.protected_args}:
            return super().invoke(ctx)
        with running(ctx.params["data"], "litestar database") as settings:
            environment = ctx.obj
            configs = environment.app.plugins.get(SQLAlchemyInitPlugin).config
            for config in configs:
                config.connection_string = settings.sqlalchemy_url
            ctx.obj = {"app": environment, "configs": configs}
            return super().invoke(ctx)


database_group = DatabaseGroup(name="database", help="Manage the schema: upgrade, downgrade, check, make-migrations, …")
data_option(database_group)
add_migration_commands(database_group)
for _command in (backup_command, restore_command):
    click.Group.add_command(database_group, _command)
