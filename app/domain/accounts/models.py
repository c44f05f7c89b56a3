"""Who uses the service, and the credentials that they hold."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import AuditMixin, Base, RootMixin, UUIDKey, text_enum
from app.db.constraints import instants, line, named_check, time_zone

__all__ = ("APIToken", "DistanceUnit", "Role", "UserAccount", "UserSession", "WeightUnit")


class WeightUnit(StrEnum):
    """What a client shows weights in; the API speaks kilograms."""

    KG = "kg"
    LB = "lb"


class DistanceUnit(StrEnum):
    """What a client shows distances in; the API speaks kilometres."""

    KM = "km"
    MI = "mi"


class Role(AuditMixin, Base):
    """A role; each user has exactly one."""

    __tablename__ = "role"
    __table_args__ = (
        UniqueConstraint("name", info={"field": "name", "message": "There is a role of this name."}),
        UniqueConstraint("slug", info={"field": "slug", "message": "There is a role with this slug."}),
        line("name"),
        line("slug"),
        line("description"),
    )

    id: Mapped[UUIDKey]
    name: Mapped[str] = mapped_column(String(100))
    slug: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(String(255))


class UserAccount(RootMixin, Base):
    """A person with an account.

    `is_superuser` and the role `superuser` go together: the trigger `check_superuser_role` looks when the transaction
    commits.

    Attributes:
        password: Argon2id PHC string; only an explicit `undefer` loads it.
    """

    __tablename__ = "user_account"
    __table_args__ = (
        Index(
            "uq_user_email",
            func.lower(text("email")),
            unique=True,
            info={"field": "email", "message": "There is an account with this e-mail address."},
        ),
        line("name"),
        named_check(
            "check_user_email",
            r"length(email) BETWEEN 1 AND 254 AND email !~ '[\s\u0001-\u001f\u007f-\u00a0]' AND email IS NORMALIZED",
            "email",
            "Expected an e-mail address of at most 254 characters.",
        ),
        time_zone("timezone"),
    )

    id: Mapped[UUIDKey]
    name: Mapped[str | None] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(255))
    password: Mapped[str] = mapped_column(String(255), deferred=True, deferred_raiseload=True)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    role_id: Mapped[UUID] = mapped_column(ForeignKey("role.id", ondelete="RESTRICT"), index=True)
    timezone: Mapped[str] = mapped_column(String(50), server_default="UTC")
    weight_unit: Mapped[WeightUnit] = mapped_column(text_enum(WeightUnit, "weight_unit"), server_default="kg")
    distance_unit: Mapped[DistanceUnit] = mapped_column(text_enum(DistanceUnit, "distance_unit"), server_default="km")

    role: Mapped[Role] = relationship(lazy="raise")


class UserSession(Base):
    """A place where a user is signed in: the durable truth behind the JTI store.

    Attributes:
        id: the claim `sid`.
        address: as the trusted proxy gave it.
    """

    __tablename__ = "user_session"
    __table_args__ = (*instants("created_at", "last_used_at", "expires_at", "revoked_at"),)

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    user_agent: Mapped[str | None] = mapped_column(String(512))
    address: Mapped[str | None] = mapped_column(String(64))
    revoked_at: Mapped[datetime | None]


class APIToken(Base):
    """A personal API token.

    Attributes:
        prefix: eight characters by which its owner recognises it.
        hash: SHA-256 of the token.
    """

    __tablename__ = "api_token"
    __table_args__ = (
        UniqueConstraint("hash", info={"field": "body", "message": "This token exists already."}),
        line("name"),
        named_check("check_token_hash", "octet_length(hash) = 32", "body", "Expected a SHA-256 hash."),
        named_check(
            "check_token_scopes",
            "cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write']::varchar[]",
            "scopes",
            "Expected read, write or both.",
        ),
        *instants("created_at", "last_used_at", "expires_at", "revoked_at"),
    )

    id: Mapped[UUIDKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(10)))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
