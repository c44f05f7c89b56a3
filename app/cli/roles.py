"""`litestar roles …`: roles, from the command line."""

from pathlib import Path

import click
import msgspec

from app.cli.running import data_option, run_with_resources
from app.domain.accounts.dto import Role
from app.domain.accounts.services import RoleService
from app.resources import Resources

__all__ = ("roles_group",)


@click.group("roles")
def roles_group() -> None:
    """Manage roles."""


@roles_group.command("create")
@click.option("--name", required=True, help="How people call it, such as `Fitness trainer`.")
@click.option("--slug", required=True, help="How programs call it, such as `fitness-trainer`.")
@click.option("--description", help="What it is for.")
@data_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def create(name: str, slug: str, description: str | None, data: Path, as_json: bool) -> None:
    """Make a role."""

    async def work(resources: Resources) -> Role:
        async with resources.transactions.begin() as session:
            return await RoleService(session, resources.jti, "").create(name, slug, description)

    role = run_with_resources(data, "litestar roles create", work)
    click.echo(msgspec.json.encode(role).decode() if as_json else f"Created the role {role.slug}.")
