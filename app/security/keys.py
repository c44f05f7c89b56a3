"""The Ed25519 keys that sign tokens: several verify, the first one signs."""

import hmac
import json
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.util import urlsafe_b64decode

ALGORITHM = "Ed25519"
"""The name of RFC 9864 for EdDSA over this curve, in headers and in the published keys."""

_KEY_BYTES = 32


class KeyRingError(ValueError):
    """The keys can not be used. The message says why, and never holds key material."""


class PublicJWK(msgspec.Struct, frozen=True):
    """One published key."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = ALGORITHM
    use: str = "sig"


class PublicJWKS(msgspec.Struct, frozen=True):
    """What ``/.well-known/jwks.json`` answers."""

    keys: tuple[PublicJWK, ...]


class _JWK(msgspec.Struct):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str | None = None
    d: str | None = None


class _JWKS(msgspec.Struct):
    keys: list[_JWK]


class KeyRing:
    """An immutable set of keys. The key id is the RFC 7638 thumbprint, so the same key has the same id everywhere.

    The first key signs and has its private half; the others may be public halves only.
    """

    def __init__(self, keys: Iterable[OKPKey]) -> None:
        """Put keys together, the one that signs first.

        Raises:
            KeyRingError: there is no key, the first one can not sign, or one is there twice.
        """
        self._keys = tuple(keys)
        if not self._keys:
            raise KeyRingError("There is no key.")
        if not self._keys[0].is_private:
            raise KeyRingError("The first key signs: its private half (d) is missing.")
        self._by_kid = {_kid(key): key for key in self._keys}
        if len(self._by_kid) != len(self._keys):
            raise KeyRingError("The same key is there twice.")
        self.key_set = KeySet(list(self._keys))

    @classmethod
    def generate(cls) -> Self:
        """A ring with one new key."""
        return cls([_import(Ed25519PrivateKey.generate())])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a JWK or a JWKS (the first key signs). A ``kid`` in it is not believed: the thumbprint counts.

        Raises:
            KeyRingError: what is wrong, and with which key.
        """
        return cls(_key(jwk, number) for number, jwk in enumerate(_parse(text), start=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the file that `save` wrote.

        Raises:
            OSError: the file can not be read.
            KeyRingError: what is wrong in it.
        """
        try:
            return cls.from_json(path.read_text("utf-8"))
        except ValueError as error:
            # The decoder's own message may quote the file, which is a secret.
            reason = error if isinstance(error, KeyRingError) else "Not UTF-8."
            raise KeyRingError(f"{path}: {reason}") from None

    def save(self, path: Path) -> None:
        """Writes all keys with their private halves as a JWKS, readable by the owner only; a crash leaves the old file.

        Raises:
            OSError: the file can not be written.
        """
        text = json.dumps(self.key_set.as_dict(private=True), indent=2) + "\n"
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
            try:
                draft.write(text)
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).replace(path)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)

    @property
    def signing_key(self) -> OKPKey:
        """The key that signs."""
        return self._keys[0]

    @property
    def signing_kid(self) -> str:
        """Its id."""
        return _kid(self._keys[0])

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of all keys, the signing one first."""
        return tuple(self._by_kid)

    def __contains__(self, kid: str) -> bool:
        return kid in self._by_kid

    def rotate(self) -> Self:
        """A ring in which a new key signs and all of these still verify."""
        return type(self)([_import(Ed25519PrivateKey.generate()), *self._keys])

    def retire(self, kid: str) -> Self:
        """A ring without that key: what it signed is worth nothing from then on.

        Raises:
            KeyRingError: there is no such key, or it is the one that signs.
        """
        if kid not in self._by_kid:
            raise KeyRingError(f"There is no key {kid}.")
        if kid == self.signing_kid:
            raise KeyRingError("This key signs: rotate first.")
        return type(self)(key for key in self._keys if _kid(key) != kid)

    def secret(self, purpose: str) -> bytes:
        """A secret for a purpose of our own, derived from the oldest key, so that it outlives rotations."""
        oldest = next(key for key in reversed(self._keys) if key.is_private)
        return hmac.digest(oldest.as_bytes(private=True), purpose.encode(), "sha256")

    def public_jwks(self) -> PublicJWKS:
        """The public halves, for those who verify."""
        return PublicJWKS(
            keys=tuple(PublicJWK(kid=kid, x=str(key.dict_value["x"])) for kid, key in self._by_kid.items())
        )


def _parse(text: str) -> list[_JWK]:
    try:
        # Lenient towards further members, strict about those that count: a JWKS is known by its "keys".
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return (
            msgspec.json.decode(text, type=_JWKS).keys if "keys" in members else [msgspec.json.decode(text, type=_JWK)]
        )
    except msgspec.ValidationError as error:
        raise KeyRingError(f"Not an Ed25519 JWK or a JWKS of them: {error}") from None
    except (msgspec.DecodeError, UnicodeError):
        # The decoder's own message may quote the text, which is a secret.
        raise KeyRingError("Not JSON.") from None


def _key(jwk: _JWK, number: int) -> OKPKey:
    if jwk.d is not None:
        private = Ed25519PrivateKey.from_private_bytes(_bytes(jwk.d, "d", number))
        if jwk.x is not None and private.public_key().public_bytes_raw() != _bytes(jwk.x, "x", number):
            raise KeyRingError(f"Key {number}: x is not the public half of d.")
        return _import(private)
    if jwk.x is None:
        raise KeyRingError(f"Key {number}: neither d nor x is there.")
    return _import(Ed25519PublicKey.from_public_bytes(_bytes(jwk.x, "x", number)))


def _bytes(text: str, member: str, number: int) -> bytes:
    try:
        value = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        raise KeyRingError(f"Key {number}: {member} is not base64url.") from None
    if len(value) != _KEY_BYTES:
        raise KeyRingError(f"Key {number}: {member} has {len(value)} bytes instead of {_KEY_BYTES}.")
    return value


def _import(key: Ed25519PrivateKey | Ed25519PublicKey) -> OKPKey:
    try:
        imported = OKPKey.import_key(key, {"use": "sig", "alg": ALGORITHM})
        imported.ensure_kid()
    except JoseError as error:
        raise KeyRingError(str(error)) from error
    return imported


def _kid(key: OKPKey) -> str:
    return key.thumbprint()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
