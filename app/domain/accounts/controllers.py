"""Routes of signing in, one's own account, users and roles."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.paging import Page, PageRequest, Precondition, SortOrder
from app.db.transaction import Transactions
from app.domain.accounts.dto import (
    AccountDeletion,
    APIToken,
    Client,
    Credentials,
    Me,
    Message,
    NewAPIToken,
    NewUser,
    PasswordChange,
    ProfilePatch,
    Role,
    RoleChange,
    Session,
    ShownAPIToken,
    SignedIn,
    SignInForm,
    SignUp,
    User,
    UserFilters,
    UserOrder,
    UserPatch,
)
from app.domain.accounts.guards import SUPERUSERS, WITH_SESSION
from app.domain.accounts.services import AccessService, CredentialService, RoleService, UserService, profile_of
from app.errors import Malformed
from app.http.admission import PUBLIC
from app.http.answers import Answer, caller_document, created, document
from app.http.context import ACCESS_COOKIE, REFRESH_COOKIE
from app.http.cookies import DEVICE_COOKIE, SessionCookies
from app.http.dto import StrictDTO, read_document
from app.http.fields import Instant, Scalar, decode_hook
from app.security.jti import JTIStore
from app.security.passwords import Passwords
from app.security.principal import Principal
from app.security.throttle import SignInThrottle
from app.security.tokens import Tokens
from app.settings import Settings

__all__ = (
    "ACCOUNTS",
    "AccessController",
    "ProfileController",
    "RoleController",
    "SessionController",
    "TokenController",
    "UserController",
)

_MAX_FORM_FIELDS = 20
_UNUSED_OF_OAUTH = ("grant_type", "scope", "client_")

SearchString = Annotated[
    str | None, QueryParameter(name="searchString", max_length=254, description="A part of the name or the e-mail.")
]
IsActive = Annotated[list[bool] | None, QueryParameter(name="isActive")]
CreatedBefore = Annotated[Instant | None, QueryParameter(name="createdBefore", description="With an offset or Z.")]
CreatedAfter = Annotated[Instant | None, QueryParameter(name="createdAfter", description="With an offset or Z.")]
OrderBy = Annotated[UserOrder, QueryParameter(name="orderBy")]
Sorted = Annotated[SortOrder, QueryParameter(name="sortOrder")]
Purge = Annotated[bool, QueryParameter(name="purge", description="Delete the user's training history as well.")]


class CredentialsDTO(StrictDTO[Credentials]):
    """Reads credentials from JSON, or from the form of OAuth 2."""

    def decode_bytes(self, value: bytes) -> Credentials:
        """Read a body of either kind.

        Raises:
            Malformed: it is neither.
            RuleBroken: it breaks rules, all of which are named.
        """
        media_type, _ = self.asgi_connection.content_type  # type: ignore[attr-defined]
        if media_type != RequestEncodingType.URL_ENCODED:
            return super().decode_bytes(value)
        form: SignInForm = read_document(msgspec.json.encode(_form_fields(value)), SignInForm)
        return Credentials(email=form.username, password=form.password)


def _form_fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FORM_FIELDS)
        fields = {name.decode(): value.decode() for name, value in pairs}
    except ValueError:
        raise Malformed("The body is not a form in UTF-8.") from None
    return {name: value for name, value in fields.items() if not name.startswith(_UNUSED_OF_OAUTH)}


@dataclass
class SignInOperation(Operation):
    """Describes that sign-in takes a form as well."""

    def __post_init__(self) -> None:
        """Add the form beside JSON."""
        if isinstance(self.request_body, RequestBody):
            self.request_body.content[RequestEncodingType.URL_ENCODED] = OpenAPIMediaType(schema=_form_schema())


def _form_schema() -> Schema | Reference:
    text = Schema(type=OpenAPIType.STRING)
    password = Schema(type=OpenAPIType.STRING)
    names = ("grant_type", "scope", "client_id", "client_secret")
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["username", "password"],
        properties={"username": text, "password": password, **dict.fromkeys(names, text)},
    )


def provide_client(request: Request[Any, Any, Any]) -> Client:
    """Where the request comes from."""
    address = str(request.scope["client_address"])  # type: ignore[typeddict-item]
    return Client(
        address=address,
        user_agent=request.headers.get("user-agent"),
        device=request.cookies.get(DEVICE_COOKIE),
    )


def provide_cookies(settings: NamedDependency[Settings]) -> SessionCookies:
    """Makes cookies."""
    return SessionCookies(settings)


def provide_credentials(db_session: NamedDependency[AsyncSession], jti: NamedDependency[JTIStore]) -> CredentialService:
    """The service of sessions and API tokens, in this request's transaction."""
    return CredentialService(db_session, jti)


def provide_users(
    db_session: NamedDependency[AsyncSession],
    passwords: NamedDependency[Passwords],
    jti: NamedDependency[JTIStore],
    settings: NamedDependency[Settings],
) -> UserService:
    """The service of accounts, in this request's transaction."""
    return UserService(db_session, passwords, jti, settings.app.system_admin_email)


def provide_roles(
    db_session: NamedDependency[AsyncSession], jti: NamedDependency[JTIStore], settings: NamedDependency[Settings]
) -> RoleService:
    """The service of roles, in this request's transaction."""
    return RoleService(db_session, jti, settings.app.system_admin_email)


def provide_access(
    db_session: NamedDependency[AsyncSession],
    transactions: NamedDependency[Transactions],
    users: NamedDependency[UserService],
    tokens: NamedDependency[Tokens],
    jti: NamedDependency[JTIStore],
    passwords: NamedDependency[Passwords],
    throttle: NamedDependency[SignInThrottle],
) -> AccessService:
    """The service of signing in and out, in this request's transaction."""
    return AccessService(db_session, transactions, users, tokens, jti, passwords, throttle)


class AccessController(Controller):
    """Signing up, in and out."""

    path = "/access"
    tags = ["Access"]
    dependencies = {
        "access": Provide(provide_access, sync_to_thread=False),
        "users": Provide(provide_users, sync_to_thread=False),
        "client": Provide(provide_client, sync_to_thread=False),
        "session_cookies": Provide(provide_cookies, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post("/signup", operation_id="signUp", summary="Make an account", opt=PUBLIC)
    async def sign_up(self, data: JSONBody[SignUp], access: NamedDependency[AccessService]) -> Answer[User]:
        """Makes an account; sign in to use it."""
        return created(await access.sign_up(data), "/api/v1/access/me")

    @post(
        "/signin",
        operation_id="signIn",
        summary="Sign in",
        status_code=204,
        opt=PUBLIC,
        dto=CredentialsDTO,
        operation_class=SignInOperation,
    )
    async def sign_in(
        self,
        data: JSONBody[Credentials],
        access: NamedDependency[AccessService],
        client: NamedDependency[Client],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Opens a session and sets the cookies. Wrong, unknown and inactive look alike."""
        return _with_tokens(session_cookies, await access.sign_in(data, client))

    @post(
        "/refresh-jwt", operation_id="refreshTokens", summary="Exchange the refresh token", status_code=204, opt=PUBLIC
    )
    async def refresh(
        self,
        request: Request[Any, Any, Any],
        access: NamedDependency[AccessService],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Replaces both cookies. A refresh token works once; using it again later ends the session."""
        return _with_tokens(session_cookies, await access.refresh(request.cookies.get(REFRESH_COOKIE)))

    @post("/logout", operation_id="signOut", summary="Sign out", status_code=204, opt=PUBLIC)
    async def sign_out(
        self,
        request: Request[Any, Any, Any],
        access: NamedDependency[AccessService],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Ends the session of the tokens that were sent, expired ones included, and clears the cookies."""
        await access.sign_out(_presented_tokens(request))
        return Response(None, status_code=204, cookies=session_cookies.cleared())

    @patch(
        "/password-update",
        operation_id="changePassword",
        summary="Change my password",
        status_code=204,
        guards=WITH_SESSION,
    )
    async def change_password(
        self,
        data: JSONBody[PasswordChange],
        access: NamedDependency[AccessService],
        principal: NamedDependency[Principal],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Ends all of my sessions and API tokens, this one included: sign in with the new password."""
        await access.change_password(principal, data)
        return Response(None, status_code=204, cookies=session_cookies.cleared())


class ProfileController(Controller):
    """The caller's own account."""

    path = "/access/me"
    tags = ["Access"]
    dependencies = {
        "users": Provide(provide_users, sync_to_thread=False),
        "session_cookies": Provide(provide_cookies, sync_to_thread=False),
    }
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get(operation_id="getMe", summary="My account")
    async def read(self, principal: NamedDependency[Principal]) -> Answer[Me]:
        """My own account."""
        return caller_document(profile_of(principal))

    @patch(operation_id="changeMe", summary="Change my profile", guards=WITH_SESSION)
    async def change(
        self,
        data: JSONBody[ProfilePatch],
        users: NamedDependency[UserService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[Me]:
        """Changes name, time zone and the units that clients show (RFC 7396)."""
        return document(await users.update_profile(principal, data, precondition))

    @delete(operation_id="deleteMe", summary="Delete my account", guards=WITH_SESSION)
    async def delete(
        self,
        data: JSONBody[AccountDeletion],
        users: NamedDependency[UserService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Deletes my account with everything that only I could see. Public units and plans stay, without my name."""
        await users.delete_own(principal, data.password, precondition)
        return Response(None, status_code=204, cookies=session_cookies.cleared())


class SessionController(Controller):
    """Where the caller is signed in."""

    path = "/access/sessions"
    tags = ["Access"]
    guards = WITH_SESSION
    dependencies = {
        "credentials": Provide(provide_credentials, sync_to_thread=False),
        "session_cookies": Provide(provide_cookies, sync_to_thread=False),
    }
    return_dto = StrictDTO[Any]

    @get(operation_id="listMySessions", summary="Where I am signed in")
    async def find(
        self, credentials: NamedDependency[CredentialService], principal: NamedDependency[Principal]
    ) -> list[Session]:
        """My sessions that are alive, last used first."""
        return await credentials.list_sessions(principal)

    @delete("/{session_id:uuid}", operation_id="endMySession", summary="Sign out elsewhere")
    async def end(
        self,
        session_id: FromPath[UUID],
        credentials: NamedDependency[CredentialService],
        principal: NamedDependency[Principal],
        session_cookies: NamedDependency[SessionCookies],
    ) -> Response[None]:
        """Ends one of my sessions; the current one too."""
        await credentials.end_session(principal.user_id, session_id)
        is_current = session_id == principal.session_id
        return Response(None, status_code=204, cookies=session_cookies.cleared() if is_current else [])


class TokenController(Controller):
    """Personal API tokens of the caller."""

    path = "/access/tokens"
    tags = ["Access"]
    guards = WITH_SESSION
    dependencies = {"credentials": Provide(provide_credentials, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @post(operation_id="createMyToken", summary="Make an API token")
    async def create(
        self,
        data: JSONBody[NewAPIToken],
        credentials: NamedDependency[CredentialService],
        principal: NamedDependency[Principal],
    ) -> Answer[ShownAPIToken]:
        """Makes a personal API token. It is shown this once."""
        token = await credentials.create_token(principal, data)
        return Answer(token, status_code=201, headers={"Location": f"/api/v1/access/tokens/{token.id}"})

    @get(operation_id="listMyTokens", summary="My API tokens")
    async def find(
        self, credentials: NamedDependency[CredentialService], principal: NamedDependency[Principal]
    ) -> list[APIToken]:
        """My API tokens that are alive, newest first."""
        return await credentials.list_tokens(principal.user_id)

    @delete("/{token_id:uuid}", operation_id="endMyToken", summary="Revoke an API token")
    async def end(
        self,
        token_id: FromPath[UUID],
        credentials: NamedDependency[CredentialService],
        principal: NamedDependency[Principal],
    ) -> None:
        """Ends one of my API tokens at once."""
        await credentials.end_token(principal.user_id, token_id)


class UserController(Controller):
    """All accounts."""

    path = "/users"
    tags = ["Users"]
    guards = SUPERUSERS
    dependencies = {"users": Provide(provide_users, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]
    type_decoders = [(lambda kind: isinstance(kind, type) and issubclass(kind, Scalar), decode_hook)]

    @post(operation_id="createUser", summary="Make an account for somebody")
    async def create(self, data: JSONBody[NewUser], users: NamedDependency[UserService]) -> Answer[User]:
        """Makes an account."""
        user = await users.create(data)
        return created(user, f"/api/v1/users/{user.document.id}")

    @get(operation_id="listUsers", summary="All accounts")
    async def find(
        self,
        users: NamedDependency[UserService],
        page: NamedDependency[PageRequest],
        search_string: SearchString = None,
        is_active: IsActive = None,
        created_before: CreatedBefore = None,
        created_after: CreatedAfter = None,
        order_by: OrderBy = UserOrder.CREATED_AT,
        sort_order: Sorted = SortOrder.ASC,
    ) -> Page[User]:
        """A page of the accounts that meet all filters."""
        filters = UserFilters(
            search=search_string, is_active=is_active, created_before=created_before, created_after=created_after
        )
        return await users.page(filters, page, order_by, sort_order)

    @get("/{user_id:uuid}", operation_id="getUser", summary="An account")
    async def read(self, user_id: FromPath[UUID], users: NamedDependency[UserService]) -> Answer[User]:
        """One account."""
        return document(await users.read(user_id))

    @patch("/{user_id:uuid}", operation_id="changeUser", summary="Change an account")
    async def change(
        self,
        user_id: FromPath[UUID],
        data: JSONBody[UserPatch],
        users: NamedDependency[UserService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
    ) -> Answer[User]:
        """Changes an account (RFC 7396). A new password, or deactivation, ends its sessions and API tokens."""
        return document(await users.update_as(principal, user_id, data, precondition))

    @delete("/{user_id:uuid}", operation_id="deleteUser", summary="Delete an account")
    async def delete(
        self,
        user_id: FromPath[UUID],
        users: NamedDependency[UserService],
        principal: NamedDependency[Principal],
        precondition: NamedDependency[Precondition],
        purge: Purge = False,
    ) -> None:
        """Deletes an account; one with a training history only with ``purge=true``."""
        await users.delete_as(principal, user_id, precondition, purge=purge)


class RoleController(Controller):
    """Roles, and who has them."""

    path = "/roles"
    tags = ["Users"]
    guards = SUPERUSERS
    dependencies = {"roles": Provide(provide_roles, sync_to_thread=False)}
    dto = StrictDTO[Any]
    return_dto = StrictDTO[Any]

    @get(operation_id="listRoles", summary="All roles")
    async def find(self, roles: NamedDependency[RoleService], page: NamedDependency[PageRequest]) -> Page[Role]:
        """A page of the roles, by name."""
        return await roles.page(page)

    @patch("/{email:str}/assign", operation_id="assignRole", summary="Give somebody a role")
    async def assign(
        self,
        email: FromPath[str],
        data: JSONBody[RoleChange],
        roles: NamedDependency[RoleService],
        principal: NamedDependency[Principal],
    ) -> Message:
        """Gives a role to a user who has none of these."""
        return await roles.assign(principal, email, data.role_slug)

    @patch("/{email:str}/revoke", operation_id="revokeRole", summary="Take a role from somebody")
    async def revoke(
        self,
        email: FromPath[str],
        data: JSONBody[RoleChange],
        roles: NamedDependency[RoleService],
        principal: NamedDependency[Principal],
    ) -> Message:
        """Takes a role from a user, whose API tokens end with it."""
        return await roles.revoke(principal, email, data.role_slug)


def _with_tokens(cookies: SessionCookies, signed_in: SignedIn) -> Response[None]:
    made = [
        cookies.access(signed_in.access_token, signed_in.access_max_age),
        cookies.refresh(signed_in.refresh_token, signed_in.refresh_max_age),
    ]
    if signed_in.device is not None:
        made.append(cookies.device(signed_in.device))
    return Response(None, status_code=204, cookies=made)


def _presented_tokens(request: Request[Any, Any, Any]) -> list[str]:
    """The tokens that the caller sent. An Authorization header alone decides, as everywhere."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return [token.strip()] if scheme.lower() == "bearer" else []
    cookies = (request.cookies.get(name) for name in (ACCESS_COOKIE, REFRESH_COOKIE))
    return [token for token in cookies if token]


ACCOUNTS: tuple[type[Controller], ...] = (
    AccessController,
    ProfileController,
    SessionController,
    TokenController,
    UserController,
    RoleController,
)
