"""`litestar users …`: accounts, from the command line."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.running import data_option, run_with_resources
from app.db.paging import PageRequest, SortOrder
from app.domain.accounts.dto import NewUser, User, UserFilters, UserOrder, UserPatch
from app.domain.accounts.services import UserService, seed_roles
from app.errors import RuleBroken
from app.http.dto import read_document
from app.resources import Resources

__all__ = ("users_group",)

T = TypeVar("T")
Command = Callable[..., None]

_PAGE_SIZE = 100

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("users")
def users_group() -> None:
    """Manage accounts."""


def account_command(name: str, summary: str) -> Callable[[Command], click.Command]:
    """A command about one account, which is named by its e-mail: as an argument or as an option."""

    def decorate(function: Command) -> click.Command:
        options = (
            click.argument("address", metavar="EMAIL", required=False),
            click.option("--email", help="The same as EMAIL."),
            data_option,
            json_option,
        )
        for option in reversed(options):
            function = option(function)
        return users_group.command(name, help=summary, short_help=summary)(function)

    return decorate


@users_group.command("create")
@click.option("--email", help="Asked for on a terminal.")
@click.option("--name", help="How the person is called.")
@click.option("--password", help="Better not said here: others can see it. Asked for on a terminal.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--superuser", is_flag=True, help="May do everything.")
@data_option
@json_option
def create(
    email: str | None,
    name: str | None,
    password: str | None,
    password_stdin: bool,
    superuser: bool,
    data: Path,
    as_json: bool,
) -> None:
    """Make an account."""
    fields: dict[str, Any] = {"email": email or _ask("--email", "E-mail"), "isSuperuser": superuser}
    if name is not None:
        fields["name"] = name
    fields["password"] = _password(password, from_stdin=password_stdin)
    account: NewUser = _checked(fields, NewUser)

    async def work(resources: Resources) -> User:
        async with resources.transactions.begin() as session:
            # Where the schema was made by hand, nobody has made the roles yet.
            await seed_roles(session)
            return (await _users(resources, session).create(account)).document

    user = run_with_resources(data, "litestar users create", work)
    _tell(
        user, f"Created {user.email}, a {user.role_name.lower()}." if superuser else f"Created {user.email}.", as_json
    )


@account_command("promote", "Make an account a superuser's.")
def promote(address: str | None, email: str | None, data: Path, as_json: bool) -> None:
    """Make an account a superuser's."""
    user = _change(address, email, data, "promote", UserPatch(is_superuser=True))
    _tell(user, f"{user.email} is a superuser.", as_json)


@account_command("demote", "Make an account an ordinary one; its API tokens end.")
def demote(address: str | None, email: str | None, data: Path, as_json: bool) -> None:
    """Make an account an ordinary one; its API tokens end."""
    user = _change(address, email, data, "demote", UserPatch(is_superuser=False))
    _tell(user, f"{user.email} is not a superuser.", as_json)


@account_command("activate", "Let an account be used again.")
def activate(address: str | None, email: str | None, data: Path, as_json: bool) -> None:
    """Let an account be used again."""
    user = _change(address, email, data, "activate", UserPatch(is_active=True))
    _tell(user, f"{user.email} is active.", as_json)


@account_command("deactivate", "Lock an account; its sessions and API tokens end.")
def deactivate(address: str | None, email: str | None, data: Path, as_json: bool) -> None:
    """Lock an account; its sessions and API tokens end."""
    user = _change(address, email, data, "deactivate", UserPatch(is_active=False))
    _tell(user, f"{user.email} is not active.", as_json)


@account_command("reset-password", "Set a new password; all sessions and API tokens of the account end.")
@click.option("--password", help="Better not said here: others can see it. Asked for on a terminal.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def reset_password(
    address: str | None, email: str | None, data: Path, as_json: bool, password: str | None, password_stdin: bool
) -> None:
    """Set a new password; all sessions and API tokens of the account end."""
    target = _address(address, email)
    patch: UserPatch = _checked({"password": _password(password, from_stdin=password_stdin)}, UserPatch)
    user = _change(target, None, data, "reset-password", patch)
    _tell(user, f"{user.email} has a new password.", as_json)


@users_group.command("list")
@click.option("--search", help="A part of the name or the e-mail.")
@click.option("--active/--inactive", "is_active", default=None, help="Only these.")
@data_option
@json_option
def find(search: str | None, is_active: bool | None, data: Path, as_json: bool) -> None:
    """List accounts, by e-mail."""

    async def work(users: UserService) -> list[User]:
        filters = UserFilters(search=search, is_active=None if is_active is None else [is_active])
        found: list[User] = []
        for number in range(1, 1 + 10_000 // _PAGE_SIZE):
            page = await users.page(filters, PageRequest(number, _PAGE_SIZE), UserOrder.EMAIL, SortOrder.ASC)
            found += page.items
            if len(page.items) < _PAGE_SIZE:
                break
        return found

    users = _with_users(data, "litestar users list", work)
    if as_json:
        click.echo(msgspec.json.encode(users).decode())
        return
    for user in users:
        state = "active" if user.is_active else "inactive"
        click.echo(f"{user.email:<40} {user.role_slug:<20} {state:<10} {user.name or ''}".rstrip())


def _with_users(data: Path, command: str, work: Callable[[UserService], Awaitable[T]]) -> T:
    async def run(resources: Resources) -> T:
        async with resources.transactions.begin() as session:
            return await work(_users(resources, session))

    return run_with_resources(data, command, run)


def _users(resources: Resources, session: AsyncSession) -> UserService:
    """The service of accounts; over the command line the system administrator can be changed too."""
    return UserService(session, resources.passwords, resources.jti, system_admin_email="")


def _change(address: str | None, email: str | None, data: Path, command: str, patch: UserPatch) -> User:
    target = _address(address, email)

    async def work(users: UserService) -> User:
        return (await users.update(await users.id_of(target), patch)).document

    return _with_users(data, f"litestar users {command}", work)


def _tell(user: User, sentence: str, as_json: bool) -> None:
    click.echo(msgspec.json.encode(user).decode() if as_json else sentence)


def _address(address: str | None, email: str | None) -> str:
    if address and email:
        raise click.UsageError("Name the account once: EMAIL or --email.")
    return (address or email or _ask("EMAIL", "E-mail")).strip()


def _password(password: str | None, *, from_stdin: bool) -> str:
    if password is not None and from_stdin:
        raise click.UsageError("Say --password or --password-stdin, not both.")
    if password is not None:
        return password
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return _ask("--password-stdin", "Password", hidden=True)


def _ask(option: str, question: str, *, hidden: bool = False) -> str:
    """Ask on a terminal; elsewhere nobody would answer."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is missing, and there is no terminal to ask on.")
    answer: str = click.prompt(question, hide_input=hidden, confirmation_prompt=hidden, err=True)
    return answer


def _checked(fields: dict[str, Any], kind: type[Any]) -> Any:
    """The fields as the API would read them.

    Raises:
        click.ClickException: they break rules; all are named.
    """
    try:
        return read_document(msgspec.json.encode(fields), kind)
    except RuleBroken as error:
        raise click.ClickException("\n".join(f"{detail.field}: {detail.message}" for detail in error.details)) from None
