"""Access and refresh tokens: JWTs signed with Ed25519, and the signed device cookie."""

import hashlib
import time
from collections.abc import Callable
from typing import Literal, TypeVar
from uuid import UUID

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from app.security.keys import ALGORITHM, KeyRing

AUDIENCE = "irontrack"
MAX_TOKEN_LENGTH = 4096
"""Characters. Ours have some 550; whatever is longer is refused before anything is done with it."""

_DEVICE_TTL = 365 * 24 * 3600

C = TypeVar("C", bound="_Claims")


class InvalidToken(ValueError):
    """The token is not to be trusted. The message is for our own log and holds nothing of the token."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Exactly these members: crit, jwk, jku, x5u, b64 and the like are refused by not being known.
    alg: Literal["Ed25519"]
    kid: str
    typ: Literal["JWT"]


class _Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    iss: str
    aud: Literal["irontrack"]
    iat: int
    nbf: int
    exp: int


class Claims(_Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verified claims of an access or a refresh token; instants in Unix seconds.

    Attributes:
        sub: the user.
        sid: the session.
        jti: the token itself.
    """

    typ: Literal["access", "refresh"]
    sub: UUID
    sid: UUID
    jti: UUID


class DeviceClaims(_Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device cookie says: this device once signed in to that account.

    Attributes:
        sub: `account_key` of the account's e-mail.
        jti: the device.
    """

    typ: Literal["device"]
    sub: str
    jti: UUID


_header_decoder = msgspec.json.Decoder(_Header)
_claims_decoder = msgspec.json.Decoder(Claims)
_device_decoder = msgspec.json.Decoder(DeviceClaims)


def account_key(email: str) -> str:
    """What stands for an account, known or not, where its e-mail should not be readable: 32 hex digits."""
    return hashlib.sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Tokens:
    """Issues and verifies tokens of one issuer.

    Attributes:
        access_ttl: lifetime of an access token in seconds.
        refresh_ttl: lifetime of a refresh token in seconds.
    """

    def __init__(
        self,
        keys: KeyRing,
        issuer: str,
        access_ttl: int = 900,
        refresh_ttl: int = 30 * 24 * 3600,
        leeway: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Sign and verify for one issuer.

        Args:
            keys: the keys in use.
            issuer: the service's public URL, the claim iss.
            access_ttl: lifetime of an access token in seconds.
            refresh_ttl: lifetime of a refresh token in seconds.
            leeway: seconds by which nbf and iat may lie ahead of our clock; exp has none.
            clock: tells Unix seconds.
        """
        self._keys = keys
        self._look_for_news: Callable[[], None] | None = None
        self.access_ttl = access_ttl
        self.refresh_ttl = refresh_ttl
        self._issuer = issuer
        self._leeway = leeway
        self._clock = clock

    @property
    def keys(self) -> KeyRing:
        """The keys in use, replaced as a whole when they are rotated."""
        if self._look_for_news is not None:
            self._look_for_news()
        return self._keys

    @keys.setter
    def keys(self, keys: KeyRing) -> None:
        self._keys = keys

    def before_use(self, look_for_news: Callable[[], None]) -> None:
        """Have this called before each use of the keys: it may replace them."""
        self._look_for_news = look_for_news

    def issue_access(self, user_id: UUID, session_id: UUID, jti: UUID, ends_at: float | None = None) -> str:
        """A new access token, which ends with the session (`ends_at`, Unix seconds) at the latest."""
        now = int(self._clock())
        expires_at = now + self.access_ttl if ends_at is None else min(now + self.access_ttl, int(ends_at))
        return self._issue("access", user_id, session_id, jti, now, expires_at)

    def issue_refresh(self, user_id: UUID, session_id: UUID, jti: UUID, issued_at: int, expires_at: int) -> str:
        """The refresh token of these claims.

        The same arguments and signing key give the same bytes, so that two tabs refreshing at once get the same one.
        """
        return self._issue("refresh", user_id, session_id, jti, issued_at, expires_at)

    def issue_device(self, email: str, jti: UUID) -> str:
        """The device cookie of an account. It signs nobody in: see `app.security.throttle`."""
        now = int(self._clock())
        return self._sign("device", account_key(email), jti, now, now + _DEVICE_TTL)

    def verify_access(self, token: str) -> Claims:
        """The claims of a good access token.

        Raises:
            InvalidToken: it is not one.
        """
        return self._verify_current(token, "access")

    def verify_refresh(self, token: str) -> Claims:
        """The claims of a good refresh token; whether it was used already, the JTI store knows.

        Raises:
            InvalidToken: it is not one.
        """
        return self._verify_current(token, "refresh")

    def verify_signature(self, token: str) -> Claims:
        """The claims of an access or refresh token of ours, current or expired: enough to end its session, and for
        nothing else.

        Raises:
            InvalidToken: it is not one.
        """
        return self._verify(token, _claims_decoder)

    def verify_device(self, token: str) -> DeviceClaims:
        """The claims of a good device cookie.

        Raises:
            InvalidToken: it is not one.
        """
        claims = self._verify(token, _device_decoder)
        self._check_expiry(claims)
        return claims

    def _issue(self, typ: str, user_id: UUID, session_id: UUID, jti: UUID, issued_at: int, expires_at: int) -> str:
        return self._sign(typ, str(user_id), jti, issued_at, expires_at, sid=str(session_id))

    def _sign(self, typ: str, sub: str, jti: UUID, issued_at: int, expires_at: int, **more: str) -> str:
        keys = self.keys
        header = {"alg": ALGORITHM, "kid": keys.signing_kid, "typ": "JWT"}
        claims: dict[str, str | int] = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": sub,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": expires_at,
            "jti": str(jti),
            "typ": typ,
            **more,
        }
        return jwt.encode(header, claims, keys.signing_key, algorithms=[ALGORITHM])

    def _verify_current(self, token: str, typ: Literal["access", "refresh"]) -> Claims:
        claims = self._verify(token, _claims_decoder)
        if claims.typ != typ:
            raise InvalidToken(f"typ is {claims.typ}, not {typ}")
        self._check_expiry(claims)
        return claims

    def _check_expiry(self, claims: _Claims) -> None:
        if self._clock() >= claims.exp:
            raise InvalidToken("expired")

    def _verify(self, token: str, decoder: msgspec.json.Decoder[C]) -> C:
        payload = self._verified_payload(token)
        try:
            claims = decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InvalidToken("claims are missing or of the wrong type") from error
        if claims.iss != self._issuer:
            raise InvalidToken("another issuer")
        if max(claims.nbf, claims.iat) > self._clock() + self._leeway:
            raise InvalidToken("from the future")
        return claims

    def _verified_payload(self, token: str) -> bytes:
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise InvalidToken("too long, or not ASCII")
        keys = self.keys
        try:
            header = _header_decoder.decode(urlsafe_b64decode(token.partition(".")[0].encode("ascii")))
            if header.kid not in keys:
                raise InvalidToken("signed by no key of ours")
            return jws.deserialize_compact(token, keys.key_set, algorithms=[ALGORITHM]).payload
        except (JoseError, msgspec.MsgspecError, ValueError) as error:
            raise InvalidToken(f"not a token of ours ({type(error).__name__})") from error
