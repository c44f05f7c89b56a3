"""What the routes of accounts take in and send out."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Schema
from msgspec import UNSET, Meta, Struct, UnsetType

from app.domain.accounts.models import DistanceUnit, WeightUnit
from app.errors import RuleBroken
from app.http.dto import Input
from app.http.fields import Email, FieldError, Instant, Line, Name, Scalar, text_of
from app.security.passwords import MAX_LENGTH, MIN_LENGTH, password_problems
from app.security.principal import Scope

__all__ = (
    "APIToken",
    "AccountDeletion",
    "Client",
    "Credentials",
    "Me",
    "Message",
    "NewAPIToken",
    "NewUser",
    "PasswordChange",
    "ProfilePatch",
    "Role",
    "RoleChange",
    "Session",
    "ShownAPIToken",
    "SignInForm",
    "SignUp",
    "SignedIn",
    "User",
    "UserFilters",
    "UserOrder",
    "UserPatch",
)


_LONGEST_TOKEN = timedelta(days=366)
"""A year, also when it is a leap year."""


class PersonName(Line):
    """The name of a person, 1 to 255 characters."""


class NewPassword(str, Scalar):
    """A password that somebody chooses."""

    schema = Schema(
        type=OpenAPIType.STRING,
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description="At least one lower and one upper case letter, one digit, and one of `@$!%*?&_`.",
    )

    @classmethod
    def from_wire(cls, value: object) -> "NewPassword":
        """Check every rule of passwords."""
        text = text_of(value)
        if problems := password_problems(text):
            raise FieldError(problems[0].type, " ".join(problem.message for problem in problems))
        return cls(text)


class GivenPassword(str, Scalar):
    """A password that somebody claims to know: any text, so that what is wrong with it is not told."""

    schema = Schema(type=OpenAPIType.STRING)

    @classmethod
    def from_wire(cls, value: object) -> "GivenPassword":
        """Only the type is checked."""
        return cls(text_of(value))


class GivenEmail(str, Scalar):
    """An e-mail address as somebody types it to sign in: its case and outer blanks don't matter."""

    schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.EMAIL)

    @classmethod
    def from_wire(cls, value: object) -> "GivenEmail":
        """Read it as sign-up would; what can't be an address belongs to nobody, and is no other error than that."""
        text = text_of(value)
        try:
            return cls(Email.from_wire(text))
        except FieldError:
            return cls(text.strip().lower())


class SignUp(Input):
    """Who wants an account."""

    email: Email
    password: NewPassword
    confirm_password: GivenPassword
    name: PersonName | None = None

    def __post_init__(self) -> None:
        if str(self.confirm_password) != str(self.password):
            raise RuleBroken.of("confirmPassword", "The two passwords differ.")


class Credentials(Input):
    """Who signs in."""

    email: GivenEmail
    password: GivenPassword


class SignInForm(Input):
    """Who signs in, as the password form of OAuth 2 says it."""

    username: GivenEmail
    password: GivenPassword


class PasswordChange(Input):
    """A new password, from somebody who knows the old one."""

    current_password: GivenPassword
    new_password: NewPassword


class AccountDeletion(Input):
    """The caller's own account is to be deleted."""

    password: GivenPassword


class ProfilePatch(Input):
    """Changes of the caller's own profile."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "email", "isActive", "isSuperuser", "roleSlug"})

    name: PersonName | UnsetType | None = UNSET
    timezone: Annotated[str, Meta(max_length=50)] | UnsetType = UNSET
    weight_unit: WeightUnit | UnsetType = UNSET
    distance_unit: DistanceUnit | UnsetType = UNSET


class TokenScope(StrEnum):
    """What an API token may do; ``write`` includes ``read``."""

    READ = "read"
    WRITE = "write"


class TokenEnd(Instant):
    """When an API token ends: within a year from now."""

    @classmethod
    def from_wire(cls, value: object) -> "TokenEnd":
        """Read the instant, and compare it with the clock."""
        ends_at = super().from_wire(value)
        now = datetime.now(UTC)
        if not now < ends_at <= now + _LONGEST_TOKEN:
            raise FieldError("range", "Expected a time within a year from now.")
        return ends_at


class NewAPIToken(Input):
    """A personal API token to make."""

    name: Name
    scopes: Annotated[list[TokenScope], Meta(min_length=1, max_length=2)]
    expires_at: TokenEnd


class NewUser(Input):
    """An account that a superuser makes."""

    email: Email
    password: NewPassword
    name: PersonName | None = None
    is_active: bool = True
    is_superuser: bool = False


class UserPatch(Input):
    """Changes of an account by a superuser."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "roleName", "roleSlug", "createdAt", "updatedAt"})

    name: PersonName | UnsetType | None = UNSET
    email: Email | UnsetType = UNSET
    password: NewPassword | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_superuser: bool | UnsetType = UNSET


class GrantableRole(StrEnum):
    """A role that superusers give and take."""

    SUPERUSER = "superuser"
    FITNESS_TRAINER = "fitness-trainer"


class RoleChange(Input):
    """The role to give or to take."""

    role_slug: GrantableRole


class User(Struct, rename="camel", kw_only=True):
    """An account as superusers, and its owner at sign-up, see it."""

    id: UUID
    name: str | None
    email: str
    is_active: bool
    is_superuser: bool
    role_name: str
    role_slug: str
    created_at: datetime
    updated_at: datetime


class Me(Struct, rename="camel", kw_only=True):
    """The caller's own account."""

    id: UUID
    name: str | None
    email: str
    is_active: bool
    is_superuser: bool
    role_slug: str
    timezone: str
    weight_unit: str
    distance_unit: str


class Session(Struct, rename="camel", kw_only=True):
    """A place where the caller is signed in.

    Attributes:
        current: whether it is the session of this request.
    """

    id: UUID
    created_at: datetime
    last_used_at: datetime
    user_agent: str | None
    current: bool


class APIToken(Struct, rename="camel", kw_only=True):
    """A personal API token, as its owner recognises it later.

    Attributes:
        prefix: eight characters of the token.
    """

    id: UUID
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


class ShownAPIToken(APIToken, rename="camel", kw_only=True):
    """A personal API token at the only moment when it is shown whole."""

    token: str


class Role(Struct, rename="camel", kw_only=True):
    """A role."""

    id: UUID
    name: str
    slug: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class Message(Struct, rename="camel"):
    """What was done, in a sentence."""

    message: str


class UserOrder(StrEnum):
    """What the list of users is sorted by."""

    NAME = "name"
    EMAIL = "email"
    CREATED_AT = "createdAt"


class UserFilters(Struct, frozen=True, kw_only=True):
    """Which users are wanted; what is None does not matter."""

    search: str | None = None
    is_active: list[bool] | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None


class Client(Struct, frozen=True, kw_only=True):
    """The program and the place that somebody signs in from.

    Attributes:
        address: as the trusted proxy gave it.
        device: the device cookie of an earlier sign-in, unverified.
    """

    address: str
    user_agent: str | None = None
    device: str | None = None


class SignedIn(Struct, frozen=True, kw_only=True):
    """What a client gets that has signed in or refreshed.

    Attributes:
        access_max_age: seconds for which the access token is good.
        refresh_max_age: seconds for which the refresh token is good.
        device: a new device cookie; None when the client keeps the one it has.
    """

    access_token: str
    access_max_age: int
    refresh_token: str
    refresh_max_age: int
    device: str | None = None
