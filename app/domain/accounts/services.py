"""Signing in and out, what signed-in clients hold, accounts, and roles."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET, Struct
from sqlalchemy import (
    ColumnElement,
    Executable,
    Result,
    RowMapping,
    ScalarSelect,
    Select,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import uuid7
from app.db.paging import Page, PageRequest, Precondition, SortOrder, Versioned
from app.db.reader import Reader
from app.db.timezones import canonical_timezone
from app.db.transaction import Transactions, announce, uninterrupted
from app.domain.accounts.dto import (
    APIToken,
    Client,
    Credentials,
    GrantableRole,
    Me,
    Message,
    NewAPIToken,
    NewUser,
    PasswordChange,
    ProfilePatch,
    Role,
    Session,
    ShownAPIToken,
    SignedIn,
    SignUp,
    User,
    UserFilters,
    UserOrder,
    UserPatch,
)
from app.domain.accounts.models import APIToken as APITokenRow
from app.domain.accounts.models import Role as RoleRow
from app.domain.accounts.models import UserAccount, UserSession
from app.domain.history.models import TrainingSession
from app.domain.running.models import Run, RunningPlan
from app.domain.training.models import (
    SharingStatus,
    TrainingPlan,
    TrainingPlanAccess,
    TrainingPlanUnit,
    TrainingUnit,
    TrainingUnitAccess,
)
from app.errors import Conflict, Forbidden, IronTrackError, NotFound, Unauthorized, Unavailable
from app.security.authenticator import new_api_token
from app.security.jti import JTIStore, RefreshToken, Rotated
from app.security.passwords import Passwords
from app.security.principal import Principal
from app.security.throttle import SignInThrottle
from app.security.tokens import Claims, InvalidToken, Tokens

__all__ = (
    "AccessService",
    "CredentialService",
    "PrincipalLoader",
    "RoleService",
    "UserService",
    "profile_of",
    "seed_roles",
)

SESSION_LIFETIME = timedelta(days=90)
MAX_SESSIONS = 50
MAX_API_TOKENS = 50
SUPERUSER = "superuser"
DEFAULT_ROLE = "application-access"

_SHIPPED_ROLES = (
    (SUPERUSER, "Superuser", "Manages users, roles and the catalogue."),
    ("fitness-trainer", "Fitness trainer", "Reads the custom exercises of everybody."),
    (DEFAULT_ROLE, "Application access", "What everybody has who signs up."),
)
_WRONG_CREDENTIALS = "The e-mail or the password is wrong."
_WRONG_PASSWORD = "The current password is wrong."  # noqa: S105 -- a sentence
_MAX_USER_AGENT = 512

_PRINCIPAL = """
SELECT u.id AS user_id, {credential}, u.name, u.email, u.is_superuser, r.slug AS role_slug, u.timezone, u.weight_unit,
       u.distance_unit, u.version, extract(epoch FROM c.expires_at)::float8 AS valid_until
FROM {table} c JOIN user_account u ON u.id = c.user_id JOIN role r ON r.id = u.role_id
WHERE c.{key} = $1 AND c.revoked_at IS NULL AND c.expires_at > now() AND u.is_active
"""
_SESSION_PRINCIPAL = _PRINCIPAL.format(credential="c.id AS session_id", table="user_session", key="id")
# Its last use is kept to the minute: a write for each request would cost more than the request.
_TOKEN_PRINCIPAL = f"""
WITH principal AS ({_PRINCIPAL.format(credential="c.id AS token_id, c.scopes", table="api_token", key="hash")}),
used AS (
    UPDATE api_token t SET last_used_at = now() FROM principal p
    WHERE t.id = p.token_id AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')
)
SELECT * FROM principal
"""  # noqa: S608 -- put together from constants


class PrincipalLoader:
    """The truth about who holds a session or an API token; one statement each, outside the request's transaction."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def load_session_principal(self, sid: UUID) -> Principal | None:
        """The user of a session that is alive, if active."""
        row = await self._reader.fetchrow(_SESSION_PRINCIPAL, sid)
        return Principal(**row) if row else None

    async def load_token_principal(self, token_hash: bytes) -> Principal | None:
        """The user of an API token that is alive, if active."""
        row = await self._reader.fetchrow(_TOKEN_PRINCIPAL, token_hash)
        return Principal(**{**row, "scopes": frozenset(row["scopes"])}) if row else None


def profile_of(principal: Principal) -> Versioned[Me]:
    """One's own account, from what is known of every caller anyway."""
    profile = Me(
        id=principal.user_id,
        name=principal.name,
        email=principal.email,
        is_active=True,
        is_superuser=principal.is_superuser,
        role_slug=principal.role_slug,
        timezone=principal.timezone,
        weight_unit=principal.weight_unit,
        distance_unit=principal.distance_unit,
    )
    return Versioned(profile, principal.version)


async def seed_roles(session: AsyncSession) -> None:
    """Make the roles that ship with the service, where they are missing."""
    rows = [{"id": uuid7(), "name": name, "slug": slug, "description": text} for slug, name, text in _SHIPPED_ROLES]
    await session.execute(insert(RoleRow).values(rows).on_conflict_do_nothing())


class CredentialService:
    """Sessions and API tokens: what the clients of a user hold."""

    def __init__(self, session: AsyncSession, jti: JTIStore) -> None:
        self._session = session
        self._jti = jti

    async def list_sessions(self, principal: Principal) -> list[Session]:
        """Where the user is signed in, last used first."""
        columns = (UserSession.id, UserSession.created_at, UserSession.last_used_at, UserSession.user_agent)
        rows = await self._session.execute(
            select(*columns)
            .where(UserSession.user_id == principal.user_id, *_alive(UserSession))
            .order_by(UserSession.last_used_at.desc(), UserSession.id)
        )
        return [Session(**row, current=row["id"] == principal.session_id) for row in rows.mappings()]

    async def open_session(self, user_id: UUID, ends_at: datetime, client: Client) -> UUID:
        """Make a session for a user whose row is locked; beyond the limit, the oldest ones go.

        Returns:
            its id.
        """
        surplus = (
            select(UserSession.id)
            .where(UserSession.user_id == user_id, *_alive(UserSession))
            .order_by(UserSession.created_at.desc(), UserSession.id.desc())
            .offset(MAX_SESSIONS - 1)
        )
        await self.end_sessions(user_id, UserSession.id.in_(surplus))
        session = UserSession(
            id=uuid7(),
            user_id=user_id,
            expires_at=ends_at,
            address=client.address or None,
            user_agent=client.user_agent.replace("\x00", "")[:_MAX_USER_AGENT] if client.user_agent else None,
        )
        self._session.add(session)
        await self._session.flush()
        return session.id

    async def end_session(self, user_id: UUID, session_id: UUID) -> None:
        """End one session of a user.

        Raises:
            NotFound: the user has no such session.
        """
        if not await self.end_sessions(user_id, UserSession.id == session_id, UserSession.expires_at > func.now()):
            raise NotFound

    async def end_sessions(self, user_id: UUID, *conditions: ColumnElement[bool]) -> list[UUID]:
        """End those sessions of a user that are alive and meet the conditions; their ids."""
        ended = await self._run(
            update(UserSession)
            .where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None), *conditions)
            .values(revoked_at=func.now())
            .returning(UserSession.id)
        )
        ids = list(ended.scalars())
        if ids:
            announce(self._session, user_id)
            await self._close(ids)
        return ids

    async def end_tokens(self, user_id: UUID) -> None:
        """End all API tokens of a user."""
        await self._run(
            update(APITokenRow)
            .where(APITokenRow.user_id == user_id, APITokenRow.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        announce(self._session, user_id)

    async def end_all(self, user_id: UUID) -> None:
        """End all sessions and API tokens of a user."""
        await self.end_sessions(user_id)
        await self.end_tokens(user_id)

    async def list_tokens(self, user_id: UUID) -> list[APIToken]:
        """The API tokens of a user that are alive, newest first."""
        rows = await self._session.execute(
            select(*_TOKEN_COLUMNS)
            .where(APITokenRow.user_id == user_id, *_alive(APITokenRow))
            .order_by(APITokenRow.created_at.desc(), APITokenRow.id.desc())
        )
        return [APIToken(**row) for row in rows.mappings()]

    async def create_token(self, principal: Principal, data: NewAPIToken) -> ShownAPIToken:
        """Make an API token, and show it this once.

        Raises:
            Unauthorized: the session has just ended, and all tokens of the user with it.
            Conflict: the user has as many as one may have.
        """
        user_id = principal.user_id
        await self._session.execute(
            select(UserAccount.id).where(UserAccount.id == user_id).with_for_update(key_share=True)
        )
        own_session = select(UserSession.id).where(UserSession.id == principal.session_id, *_alive(UserSession))
        if await self._session.scalar(own_session) is None:
            raise Unauthorized
        alive = select(func.count()).where(APITokenRow.user_id == user_id, *_alive(APITokenRow))
        if (await self._session.scalar(alive) or 0) >= MAX_API_TOKENS:
            raise Conflict(f"You have {MAX_API_TOKENS} API tokens; delete one first.")
        made = new_api_token()
        token = APITokenRow(
            id=uuid7(),
            user_id=user_id,
            name=data.name,
            prefix=made.prefix,
            hash=made.hash,
            scopes=sorted(set(data.scopes)),
            expires_at=data.expires_at,
        )
        self._session.add(token)
        await self._session.flush()
        stored = await self._session.execute(select(*_TOKEN_COLUMNS).where(APITokenRow.id == token.id))
        return ShownAPIToken(**stored.mappings().one(), token=made.token)

    async def end_token(self, user_id: UUID, token_id: UUID) -> None:
        """End one API token of a user.

        Raises:
            NotFound: the user has no such token.
        """
        ended = await self._run(
            update(APITokenRow)
            .where(APITokenRow.user_id == user_id, APITokenRow.id == token_id, APITokenRow.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(APITokenRow.id)
        )
        if ended.scalar() is None:
            raise NotFound
        announce(self._session, user_id)

    async def _close(self, session_ids: Iterable[UUID]) -> None:
        """Take the sessions out of the fast face as well. While it is away the table alone decides, and suffices."""
        with suppress(Unavailable):
            await self._jti.close(session_ids)

    async def _run(self, statement: Executable) -> Result[Any]:
        return await _execute(self._session, statement)


class AccessService:
    """Sign-up, sign-in, refresh, sign-out, and the change of one's own password."""

    def __init__(
        self,
        session: AsyncSession,
        transactions: Transactions,
        users: "UserService",
        tokens: Tokens,
        jti: JTIStore,
        passwords: Passwords,
        throttle: SignInThrottle,
    ) -> None:
        self._session = session
        self._transactions = transactions
        self._users = users
        self._credentials = CredentialService(session, jti)
        self._tokens = tokens
        self._jti = jti
        self._passwords = passwords
        self._throttle = throttle

    async def sign_up(self, data: SignUp) -> Versioned[User]:
        """Make an account for whoever asks.

        Raises:
            Conflict: the e-mail is taken.
        """
        return await self._users.create(NewUser(email=data.email, password=data.password, name=data.name))

    async def sign_in(self, credentials: Credentials, client: Client) -> SignedIn:
        """Open a session for whoever knows the password.

        A wrong password, an unknown e-mail and an inactive account differ in nothing, the work done included.

        Raises:
            Unauthorized: the e-mail or the password is wrong.
            TooManyRequests: the account was tried too often.
            Unavailable: Valkey is away, or too many passwords are being checked.
        """
        attempt = await self._throttle.sign_in(credentials.email, client.device)
        account = await self._account_of(credentials.email)
        if account is None:
            await self._passwords.verify_nothing(credentials.password)
            raise Unauthorized(_WRONG_CREDENTIALS)
        if not await self._passwords.verify(credentials.password, account.password) or not account.is_active:
            raise Unauthorized(_WRONG_CREDENTIALS)
        rehashed = None
        if self._passwords.needs_rehash(account.password):
            rehashed = await self._passwords.hash(credentials.password)
        await self._throttle.succeeded(attempt)
        device = self._throttle.device_cookie(credentials.email, attempt)
        return await self._open_session(account, rehashed, client, device)

    async def refresh(self, token: str | None) -> SignedIn:
        """Exchange a refresh token, which works once, for new tokens.

        The table is asked first. The rotation in Valkey is the last step before the commit: should that fail, the
        client may use its old token again within the grace period and gets the same successor.

        Raises:
            Unauthorized: the token is not good. If it was used before, the session is dead from then on.
            Unavailable: Valkey is away.
        """
        claims = self._verified(token)
        live = await _execute(
            self._session,
            update(UserSession)
            .where(
                UserSession.id == claims.sid,
                UserSession.user_id == claims.sub,
                UserAccount.id == UserSession.user_id,
                UserAccount.is_active,
                *_alive(UserSession),
            )
            .values(last_used_at=func.now())
            .returning(UserSession.id),
        )
        if live.scalar() is None:
            raise Unauthorized
        now = int(time())
        candidate = RefreshToken(uuid4(), now, now + self._tokens.refresh_ttl)
        outcome = await self._jti.rotate(claims.sid, claims.jti, candidate)
        if not isinstance(outcome, Rotated):
            # The row is locked by this transaction, which changes nothing any more.
            await self._session.rollback()
            await uninterrupted(self._end_durably(claims))
            raise Unauthorized
        return self._signed_in(claims.sub, claims.sid, outcome.token, outcome.ends_at)

    async def sign_out(self, tokens: Collection[str]) -> None:
        """End the sessions of those tokens that have a valid signature, expired ones included."""
        for claims in {claims.sid: claims for claims in map(self._signed_claims, tokens) if claims}.values():
            await self._credentials.end_sessions(claims.sub, UserSession.id == claims.sid)

    async def change_password(self, principal: Principal, data: PasswordChange) -> None:
        """Set a new password, which ends all sessions and API tokens of the user.

        Raises:
            Unauthorized: the current password is wrong.
        """
        known = await self._users.verified_password(principal.user_id, data.current_password)
        password = await self._passwords.hash(data.new_password)
        changed = await _execute(
            self._session,
            update(UserAccount)
            .where(UserAccount.id == principal.user_id, UserAccount.password == known, UserAccount.is_active)
            .values(password=password)
            .returning(UserAccount.id),
        )
        if changed.scalar() is None:
            raise Unauthorized(_WRONG_PASSWORD)
        await self._credentials.end_all(principal.user_id)

    async def _account_of(self, email: str) -> "_SignInAccount | None":
        row = (
            await self._session.execute(
                select(UserAccount.id, UserAccount.password, UserAccount.is_active).where(
                    func.lower(UserAccount.email) == email
                )
            )
        ).one_or_none()
        # The hashing that follows is slow and needs no connection.
        await self._session.rollback()
        return _SignInAccount(*row) if row else None

    async def _open_session(
        self, account: "_SignInAccount", rehashed: str | None, client: Client, device: str
    ) -> SignedIn:
        unchanged = (UserAccount.id == account.id, UserAccount.password == account.password, UserAccount.is_active)
        locked = await self._session.scalar(select(UserAccount.id).where(*unchanged).with_for_update(key_share=True))
        if locked is None:
            raise Unauthorized(_WRONG_CREDENTIALS)
        if rehashed is not None:
            await _execute(self._session, update(UserAccount).where(*unchanged).values(password=rehashed))
        now = datetime.now(UTC)
        ends_at = now + SESSION_LIFETIME
        sid = await self._credentials.open_session(account.id, ends_at, client)
        issued_at = int(now.timestamp())
        token = RefreshToken(uuid4(), issued_at, issued_at + self._tokens.refresh_ttl)
        token = await self._jti.open(sid, token, int(ends_at.timestamp()))
        return self._signed_in(account.id, sid, token, int(ends_at.timestamp()), device)

    def _signed_in(
        self, user_id: UUID, sid: UUID, token: RefreshToken, ends_at: int, device: str | None = None
    ) -> SignedIn:
        now = int(time())
        return SignedIn(
            access_token=self._tokens.issue_access(user_id, sid, uuid4(), ends_at),
            access_max_age=max(0, min(self._tokens.access_ttl, ends_at - now)),
            refresh_token=self._tokens.issue_refresh(user_id, sid, token.jti, token.issued_at, token.expires_at),
            refresh_max_age=max(0, token.expires_at - now),
            device=device,
        )

    async def _end_durably(self, claims: Claims) -> None:
        """End a session in a transaction of its own, since that of the request is refused."""
        async with self._transactions.begin() as session:
            await CredentialService(session, self._jti).end_sessions(claims.sub, UserSession.id == claims.sid)

    def _verified(self, token: str | None) -> Claims:
        if token is None:
            raise Unauthorized
        try:
            return self._tokens.verify_refresh(token)
        except InvalidToken:
            raise Unauthorized from None

    def _signed_claims(self, token: str) -> Claims | None:
        try:
            return self._tokens.verify_signature(token)
        except InvalidToken:
            return None


class UserService:
    """Accounts: one's own profile, and all of them for superusers and commands."""

    def __init__(self, session: AsyncSession, passwords: Passwords, jti: JTIStore, system_admin_email: str) -> None:
        self._session = session
        self._passwords = passwords
        self._credentials = CredentialService(session, jti)
        self._system_admin = system_admin_email.lower()

    async def create(self, data: NewUser) -> Versioned[User]:
        """Make an account.

        Raises:
            Conflict: the e-mail is taken.
        """
        account = UserAccount(
            id=uuid7(),
            email=data.email,
            name=data.name,
            password=await self._passwords.hash(data.password),
            is_active=data.is_active,
            is_superuser=data.is_superuser,
            role_id=_role_id(SUPERUSER if data.is_superuser else DEFAULT_ROLE),
        )
        self._session.add(account)
        await self._session.flush()
        return await self.read(account.id)

    async def page(
        self, filters: UserFilters, page: PageRequest, order_by: UserOrder, sort_order: SortOrder
    ) -> Page[User]:
        """A page of all accounts."""
        conditions = _user_conditions(filters)
        total = await self._session.scalar(select(func.count()).select_from(UserAccount).where(*conditions)) or 0
        keys: dict[UserOrder, ColumnElement[Any]] = {
            UserOrder.NAME: func.lower(UserAccount.name),
            UserOrder.EMAIL: func.lower(UserAccount.email),
            UserOrder.CREATED_AT: UserAccount.created_at.expression,
        }
        key = keys[order_by]
        rows = await self._session.execute(
            _users()
            .where(*conditions)
            .order_by((key.desc() if sort_order is SortOrder.DESC else key.asc()).nulls_last(), UserAccount.id)
            .limit(page.page_size)
            .offset(page.offset)
        )
        return Page([_user(row) for row in rows.mappings()], total, page.page_size, page.offset)

    async def read(self, user_id: UUID) -> Versioned[User]:
        """One account.

        Raises:
            NotFound: there is none.
        """
        row = (await self._session.execute(_users().where(UserAccount.id == user_id))).mappings().one_or_none()
        if row is None:
            raise NotFound
        return Versioned(_user(row), row["version"])

    async def id_of(self, email: str) -> UUID:
        """The account with an e-mail, in any case.

        Raises:
            NotFound: there is none.
        """
        found = await self._session.scalar(select(UserAccount.id).where(func.lower(UserAccount.email) == email.lower()))
        if found is None:
            raise NotFound(f"There is no user {email}.")
        return found

    async def update(self, user_id: UUID, patch: UserPatch) -> Versioned[User]:
        """Change an account, as the operator of the service.

        Raises:
            NotFound: there is none.
            Conflict: the e-mail is taken, or it is the last active superuser's.
        """
        password = await self._hashed(patch)
        await _lock_superusers(self._session)
        before = await _locked(self._session, UserAccount.id == user_id)
        return await self._apply(before, patch, password)

    async def update_as(
        self, actor: Principal, user_id: UUID, patch: UserPatch, precondition: Precondition
    ) -> Versioned[User]:
        """Change an account, as a superuser.

        Raises:
            NotFound: there is none.
            Forbidden: it is the actor's own or the system administrator's, and would be weakened.
            PreconditionFailed: it has changed.
            Conflict: the e-mail is taken, or it is the last active superuser's.
        """
        password = await self._hashed(patch)
        await _lock_superusers(self._session)
        before = await _locked(self._session, UserAccount.id == user_id)
        if _weakens(before, patch):
            _refuse_protected(actor, before, self._system_admin)
        if patch.password is not UNSET and before.id == actor.user_id:
            raise Forbidden("Change your own password under /access/password-update.")
        if self._is_system_admin(before) and patch.email not in (UNSET, before.email):
            raise Forbidden("The system administrator is known by this e-mail address, which stays.")
        precondition.check(before.version)
        return await self._apply(before, patch, password)

    async def update_profile(
        self, principal: Principal, patch: ProfilePatch, precondition: Precondition
    ) -> Versioned[Me]:
        """Change one's own profile.

        Raises:
            PreconditionFailed: it has changed.
            RuleBroken: there is no such time zone.
        """
        before = await _locked(self._session, UserAccount.id == principal.user_id)
        precondition.check(before.version)
        changes: dict[str, Any] = {
            name: value
            for name, value in (
                ("name", patch.name),
                ("weight_unit", patch.weight_unit),
                ("distance_unit", patch.distance_unit),
            )
            if value is not UNSET
        }
        if patch.timezone is not UNSET:
            changes["timezone"] = await canonical_timezone(self._session, patch.timezone)
        if changes:
            await _execute(self._session, update(UserAccount).where(UserAccount.id == before.id).values(changes))
            announce(self._session, before.id)
        row = (await self._session.execute(_profiles().where(UserAccount.id == before.id))).mappings().one()
        return Versioned(Me(**{name: row[name] for name in Me.__struct_fields__}), row["version"])

    async def verified_password(self, user_id: UUID, password: str) -> str:
        """The stored hash of a user who knows the password.

        Raises:
            Unauthorized: the password is wrong.
        """
        stored = await self._session.scalar(select(UserAccount.password).where(UserAccount.id == user_id))
        # The hashing that follows is slow and needs no connection.
        await self._session.rollback()
        if stored is None or not await self._passwords.verify(password, stored):
            raise Unauthorized(_WRONG_PASSWORD)
        return stored

    async def delete_as(self, actor: Principal, user_id: UUID, precondition: Precondition, *, purge: bool) -> None:
        """Delete an account with all that only its owner could see, as a superuser.

        Args:
            purge: also when the user has a training history.

        Raises:
            NotFound: there is none.
            Forbidden: it is the actor's own or the system administrator's.
            PreconditionFailed: it has changed.
            Conflict: it has a history, or is the last active superuser's.
        """
        await _lock_superusers(self._session)
        before = await _locked(self._session, UserAccount.id == user_id)
        _refuse_protected(actor, before, self._system_admin)
        precondition.check(before.version)
        if not purge and await self._has_history(user_id):
            raise Conflict("This user has a training history; add ?purge=true to delete it as well.")
        await self._erase(before)

    async def delete_own(self, principal: Principal, password: str, precondition: Precondition) -> None:
        """Delete one's own account with all that only oneself could see.

        Raises:
            Unauthorized: the password is wrong.
            PreconditionFailed: it has changed.
            Conflict: it is the last active superuser's.
        """
        known = await self.verified_password(principal.user_id, password)
        await _lock_superusers(self._session)
        before = await _locked(
            self._session, UserAccount.id == principal.user_id, UserAccount.password == known, missing=Unauthorized
        )
        precondition.check(before.version)
        await self._erase(before)

    def _is_system_admin(self, account: "_Account") -> bool:
        return account.email == self._system_admin

    async def _hashed(self, patch: UserPatch) -> str | None:
        return None if patch.password is UNSET else await self._passwords.hash(patch.password)

    async def _apply(self, before: "_Account", patch: UserPatch, password: str | None) -> Versioned[User]:
        changes: dict[str, Any] = {
            name: value
            for name, value in (("name", patch.name), ("email", patch.email), ("is_active", patch.is_active))
            if value is not UNSET
        }
        if password is not None:
            changes["password"] = password
        if patch.is_superuser is not UNSET and patch.is_superuser != before.is_superuser:
            changes |= {"is_superuser": patch.is_superuser}
            changes |= {"role_id": _role_id(SUPERUSER if patch.is_superuser else DEFAULT_ROLE)}
        if changes:
            await _execute(self._session, update(UserAccount).where(UserAccount.id == before.id).values(changes))
            announce(self._session, before.id)
        if password is not None or (before.is_active and patch.is_active is False):
            await self._credentials.end_all(before.id)
        elif before.is_superuser and patch.is_superuser is False:
            await self._credentials.end_tokens(before.id)
        if _weakens(before, patch):
            await _refuse_last_superuser(self._session, before)
        return await self.read(before.id)

    async def _has_history(self, user_id: UUID) -> bool:
        found = await self._session.scalar(
            select(
                or_(
                    exists().where(TrainingSession.user_id == user_id),
                    exists().where(Run.user_id == user_id),
                    exists().where(RunningPlan.user_id == user_id),
                )
            )
        )
        return bool(found)

    async def _erase(self, account: "_Account") -> None:
        """Delete an account whose row is locked, so that nothing new can refer to it meanwhile.

        History first, whose keys restrict; then templates, of which public ones stay, and whatever a plan that stays
        is made of; nobody may write them from then on. The rest goes with the account by its foreign keys.
        """
        await self._credentials.end_all(account.id)
        unused = ~exists().where(TrainingPlanUnit.training_unit_id == TrainingUnit.id)
        for statement in (
            delete(TrainingSession).where(TrainingSession.user_id == account.id),
            delete(Run).where(Run.user_id == account.id),
            delete(RunningPlan).where(RunningPlan.user_id == account.id),
            delete(TrainingPlan).where(
                TrainingPlan.created_by == account.id, TrainingPlan.sharing_status != SharingStatus.PUBLIC
            ),
            delete(TrainingUnit).where(
                TrainingUnit.created_by == account.id, TrainingUnit.sharing_status != SharingStatus.PUBLIC, unused
            ),
            delete(TrainingPlanAccess).where(TrainingPlanAccess.granted_by == account.id),
            delete(TrainingUnitAccess).where(TrainingUnitAccess.granted_by == account.id),
            delete(UserAccount).where(UserAccount.id == account.id),
        ):
            await _execute(self._session, statement)
        await _refuse_last_superuser(self._session, account)


class RoleService:
    """Roles, and who has them."""

    def __init__(self, session: AsyncSession, jti: JTIStore, system_admin_email: str) -> None:
        self._session = session
        self._credentials = CredentialService(session, jti)
        self._system_admin = system_admin_email.lower()

    async def page(self, page: PageRequest) -> Page[Role]:
        """A page of all roles, by name."""
        total = await self._session.scalar(select(func.count()).select_from(RoleRow)) or 0
        rows = await self._session.execute(
            select(*_ROLE_COLUMNS)
            .order_by(func.lower(RoleRow.name), RoleRow.id)
            .limit(page.page_size)
            .offset(page.offset)
        )
        return Page([Role(**row) for row in rows.mappings()], total, page.page_size, page.offset)

    async def create(self, name: str, slug: str, description: str | None) -> Role:
        """Make a role.

        Raises:
            Conflict: the name or the slug is taken.
        """
        role = RoleRow(id=uuid7(), name=name, slug=slug, description=description)
        self._session.add(role)
        await self._session.flush()
        stored = await self._session.execute(select(*_ROLE_COLUMNS).where(RoleRow.id == role.id))
        return Role(**stored.mappings().one())

    async def assign(self, actor: Principal, email: str, role: GrantableRole) -> Message:
        """Give a role to a user who has none.

        Raises:
            NotFound: no such user.
            Forbidden: it is the actor, or an inactive user.
            Conflict: the user has this or another role.
        """
        account = await _locked(self._session, func.lower(UserAccount.email) == email.lower())
        if account.id == actor.user_id:
            raise Forbidden("Nobody can assign a role to oneself.")
        _refuse_inactive(account)
        if account.role_slug == role:
            raise Conflict(f"{account.email} has the role {role} already.")
        if account.role_slug != DEFAULT_ROLE:
            raise Conflict(f"{account.email} has the role {account.role_slug}; revoke it first.")
        await self._set_role(account, role)
        return Message(f"{account.email} now has the role {role}.")

    async def revoke(self, actor: Principal, email: str, role: GrantableRole) -> Message:
        """Take a role from a user, whose API tokens die with it.

        Raises:
            NotFound: no such user.
            Forbidden: it is the actor, the system administrator, or an inactive user.
            Conflict: the user does not have the role, or is the last active superuser.
        """
        await _lock_superusers(self._session)
        account = await _locked(self._session, func.lower(UserAccount.email) == email.lower())
        _refuse_protected(actor, account, self._system_admin)
        _refuse_inactive(account)
        if account.role_slug != role:
            raise Conflict(f"{account.email} does not have the role {role}.")
        await self._set_role(account, DEFAULT_ROLE)
        await self._credentials.end_tokens(account.id)
        await _refuse_last_superuser(self._session, account)
        return Message(f"{account.email} no longer has the role {role}.")

    async def _set_role(self, account: "_Account", slug: str) -> None:
        changes = {"role_id": _role_id(slug), "is_superuser": slug == SUPERUSER}
        await _execute(self._session, update(UserAccount).where(UserAccount.id == account.id).values(changes))
        announce(self._session, account.id)


class _SignInAccount(Struct, frozen=True):
    id: UUID
    password: str
    is_active: bool


class _Account(Struct, frozen=True):
    """An account as it was when its row was locked."""

    id: UUID
    email: str
    is_active: bool
    is_superuser: bool
    role_slug: str
    version: int


_TOKEN_COLUMNS = (
    APITokenRow.id,
    APITokenRow.name,
    APITokenRow.prefix,
    APITokenRow.scopes,
    APITokenRow.created_at,
    APITokenRow.last_used_at,
    APITokenRow.expires_at,
)
_ROLE_COLUMNS = (
    RoleRow.id,
    RoleRow.name,
    RoleRow.slug,
    RoleRow.description,
    RoleRow.created_at,
    RoleRow.updated_at,
)


async def _execute(session: AsyncSession, statement: Executable) -> Result[Any]:
    """Send a statement. No entities are loaded in these services, so none have to be kept in step."""
    return await session.execute(statement, execution_options={"synchronize_session": False})


def _alive(model: type[UserSession] | type[APITokenRow]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return model.revoked_at.is_(None), model.expires_at > func.now()


def _users() -> Select[*tuple[Any, ...]]:
    return select(
        UserAccount.id,
        UserAccount.name,
        UserAccount.email,
        UserAccount.is_active,
        UserAccount.is_superuser,
        RoleRow.name.label("role_name"),
        RoleRow.slug.label("role_slug"),
        UserAccount.created_at,
        UserAccount.updated_at,
        UserAccount.version,
    ).join(RoleRow, RoleRow.id == UserAccount.role_id)


def _user(row: RowMapping) -> User:
    return User(**{name: row[name] for name in User.__struct_fields__})


def _profiles() -> Select[*tuple[Any, ...]]:
    return select(
        UserAccount.id,
        UserAccount.name,
        UserAccount.email,
        UserAccount.is_active,
        UserAccount.is_superuser,
        RoleRow.slug.label("role_slug"),
        UserAccount.timezone,
        UserAccount.weight_unit,
        UserAccount.distance_unit,
        UserAccount.version,
    ).join(RoleRow, RoleRow.id == UserAccount.role_id)


def _user_conditions(filters: UserFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.search:
        text = filters.search.strip()
        conditions.append(
            or_(UserAccount.name.icontains(text, autoescape=True), UserAccount.email.icontains(text, autoescape=True))
        )
    if filters.is_active:
        conditions.append(UserAccount.is_active.in_(filters.is_active))
    if filters.created_before is not None:
        conditions.append(UserAccount.created_at < filters.created_before)
    if filters.created_after is not None:
        conditions.append(UserAccount.created_at > filters.created_after)
    return conditions


def _role_id(slug: str) -> ScalarSelect[UUID]:
    return select(RoleRow.id).where(RoleRow.slug == slug).scalar_subquery()


async def _lock_superusers(session: AsyncSession) -> None:
    """Take turns with everybody else who may take a superuser away; to be called before any user's row is locked."""
    await session.execute(select(RoleRow.id).where(RoleRow.slug == SUPERUSER).with_for_update(key_share=True))


async def _locked(
    session: AsyncSession, *conditions: ColumnElement[bool], missing: type[IronTrackError] = NotFound
) -> _Account:
    """Lock the row of an account until the transaction ends.

    Raises:
        missing: there is none.
    """
    # Not a join: whoever waits for the lock while the role changes would find that no row fits any more.
    role_slug = select(RoleRow.slug).where(RoleRow.id == UserAccount.role_id).scalar_subquery()
    row = (
        await session.execute(
            select(
                UserAccount.id,
                UserAccount.email,
                UserAccount.is_active,
                UserAccount.is_superuser,
                role_slug,
                UserAccount.version,
            )
            .where(*conditions)
            .with_for_update(of=UserAccount)
        )
    ).one_or_none()
    if row is None:
        raise missing
    return _Account(*row)


def _weakens(before: _Account, patch: UserPatch) -> bool:
    deactivates = before.is_active and patch.is_active is False
    demotes = before.is_superuser and patch.is_superuser is False
    return deactivates or demotes


def _refuse_protected(actor: Principal, account: _Account, system_admin: str) -> None:
    if account.id == actor.user_id:
        raise Forbidden("You can't deactivate, demote or delete yourself here.")
    if system_admin and account.email == system_admin:
        raise Forbidden("The system administrator can't be deactivated, demoted or deleted here.")


def _refuse_inactive(account: _Account) -> None:
    if not account.is_active:
        raise Forbidden(f"{account.email} is not active.")


async def _refuse_last_superuser(session: AsyncSession, before: _Account) -> None:
    """Refuse what was just done to an account, if it leaves no active superuser behind.

    Raises:
        Conflict: it does.
    """
    if not (before.is_active and before.is_superuser):
        return
    left = await session.scalar(select(exists().where(UserAccount.is_superuser, UserAccount.is_active)))
    if not left:
        raise Conflict("This is the last active superuser.")
