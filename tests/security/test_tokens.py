import base64
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey

from app.security.keys import KeyRing
from app.security.tokens import MAX_TOKEN_LENGTH, InvalidToken, Tokens
from tests.security.conftest import ISSUER

NOW = 1_800_000_000
USER, SESSION, JTI = uuid4(), uuid4(), uuid4()


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(keys: KeyRing, clock: Clock) -> Tokens:
    return Tokens(keys, ISSUER, clock=clock)


def good_claims(**changes: object) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "irontrack",
        "sub": str(USER),
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 900,
        "jti": str(JTI),
        "typ": "access",
        "sid": str(SESSION),
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def signed(keys: KeyRing, claims: object, **header: object) -> str:
    """What the holder of our key could sign."""
    whole = {"alg": "Ed25519", "kid": keys.signing_kid, "typ": "JWT", **header}
    return sign_raw(
        keys, json.dumps({name: value for name, value in whole.items() if value is not ...}), json.dumps(claims)
    )


def sign_raw(keys: KeyRing, header: str | bytes, payload: str | bytes) -> str:
    text = f"{encode(header)}.{encode(payload)}"
    private = keys.signing_key.private_key
    assert private is not None
    return f"{text}.{encode(private.sign(text.encode()))}"  # type: ignore[union-attr]


def encode(data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class TestIssue:
    def test_an_access_token_says_who_and_for_how_long(self, tokens: Tokens, keys: KeyRing) -> None:
        token = tokens.issue_access(USER, SESSION, JTI)
        header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
        assert header == {"alg": "Ed25519", "kid": keys.signing_kid, "typ": "JWT"}
        assert payload == good_claims()

    def test_any_library_verifies_it_with_the_published_key(self, tokens: Tokens, keys: KeyRing) -> None:
        published = keys.public_jwks().keys[0]
        key = OKPKey.import_key({"kty": published.kty, "crv": published.crv, "x": published.x})
        token = tokens.issue_refresh(USER, SESSION, JTI, NOW, NOW + 100)
        assert jwt.decode(token, key, algorithms=["Ed25519"]).claims["typ"] == "refresh"

    def test_the_same_refresh_token_comes_out_twice(self, tokens: Tokens, clock: Clock) -> None:
        first = tokens.issue_refresh(USER, SESSION, JTI, NOW, NOW + 100)
        clock.now += 9
        assert tokens.issue_refresh(USER, SESSION, JTI, NOW, NOW + 100) == first

    def test_an_access_token_does_not_outlive_its_session(self, tokens: Tokens) -> None:
        assert tokens.verify_access(tokens.issue_access(USER, SESSION, JTI, NOW + 60)).exp == NOW + 60
        assert tokens.verify_access(tokens.issue_access(USER, SESSION, JTI, NOW + 6000)).exp == NOW + 900


class TestVerify:
    def test_returns_the_claims(self, tokens: Tokens) -> None:
        claims = tokens.verify_access(tokens.issue_access(USER, SESSION, JTI))
        assert (claims.sub, claims.sid, claims.jti, claims.typ) == (USER, SESSION, JTI, "access")
        assert (claims.iat, claims.nbf, claims.exp) == (NOW, NOW, NOW + 900)

    def test_neither_type_passes_as_the_other(self, tokens: Tokens) -> None:
        access = tokens.issue_access(USER, SESSION, JTI)
        refresh = tokens.issue_refresh(USER, SESSION, JTI, NOW, NOW + 100)
        device = tokens.issue_device("a@example.org", JTI)
        for verify, token in [
            (tokens.verify_access, refresh),
            (tokens.verify_access, device),
            (tokens.verify_refresh, access),
            (tokens.verify_refresh, device),
            (tokens.verify_signature, device),
            (tokens.verify_device, access),
            (tokens.verify_device, refresh),
        ]:
            with pytest.raises(InvalidToken):
                verify(token)

    def test_expires_to_the_second(self, tokens: Tokens, clock: Clock) -> None:
        token = tokens.issue_access(USER, SESSION, JTI)
        clock.now = NOW + 899.999
        tokens.verify_access(token)
        clock.now = NOW + 900
        with pytest.raises(InvalidToken):
            tokens.verify_access(token)

    def test_may_be_ten_seconds_ahead(self, tokens: Tokens, clock: Clock) -> None:
        token = tokens.issue_access(USER, SESSION, JTI)
        clock.now = NOW - 10
        tokens.verify_access(token)
        clock.now = NOW - 10.001
        with pytest.raises(InvalidToken):
            tokens.verify_access(token)

    def test_an_expired_one_is_good_for_ending_its_session(self, tokens: Tokens, clock: Clock) -> None:
        access = tokens.issue_access(USER, SESSION, JTI)
        refresh = tokens.issue_refresh(USER, SESSION, JTI, NOW, NOW + 100)
        clock.now += 10_000_000
        assert tokens.verify_signature(access).sid == tokens.verify_signature(refresh).sid == SESSION

    def test_every_key_of_the_ring_verifies(self, tokens: Tokens, keys: KeyRing) -> None:
        token = tokens.issue_access(USER, SESSION, JTI)
        tokens.keys = keys.rotate()
        assert tokens.verify_access(token).sub == USER
        assert tokens.verify_access(tokens.issue_access(USER, SESSION, JTI)).sub == USER
        tokens.keys = tokens.keys.retire(keys.signing_kid)
        with pytest.raises(InvalidToken):
            tokens.verify_access(token)


class TestForged:
    """Each of them differs from a good token in one thing, and carries the ids of a live one."""

    def test_the_unforged_one_is_good(self, tokens: Tokens, keys: KeyRing) -> None:
        assert tokens.verify_access(signed(keys, good_claims())).jti == JTI

    @pytest.mark.parametrize(
        "changes",
        [
            *({name: ...} for name in good_claims()),
            *({name: None} for name in good_claims()),
            {"iss": "https://evil.example"},
            {"iss": ISSUER + "/"},
            {"aud": "other"},
            {"aud": ["irontrack"]},
            {"typ": "refresh"},
            {"typ": "Access"},
            {"sub": "root"},
            {"sub": 1},
            {"sid": ""},
            {"jti": 7},
            {"exp": NOW},
            {"exp": NOW - 900},
            {"exp": str(NOW + 900)},
            {"exp": NOW + 900.5},
            {"exp": True},
            {"nbf": NOW + 11},
            {"iat": NOW + 11},
            {"iat": -1e400},
            {"admin": True},
        ],
        ids=repr,
    )
    def test_claims(self, tokens: Tokens, keys: KeyRing, changes: dict[str, object]) -> None:
        with pytest.raises(InvalidToken):
            tokens.verify_access(signed(keys, good_claims(**changes)))

    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": "none"},
            {"alg": "None"},
            {"alg": "EdDSA"},
            {"alg": "HS256"},
            {"alg": ["Ed25519"]},
            {"alg": ...},
            {"kid": ...},
            {"kid": None},
            {"kid": ""},
            {"kid": "another"},
            {"kid": 1},
            {"typ": ...},
            {"typ": "at+jwt"},
            {"typ": "jwt"},
            {"crit": ["exp"]},
            {"crit": []},
            {"crit": ["b64"], "b64": False},
            {"b64": True},
            {"jku": "https://evil.example/jwks.json"},
            {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
            {"x5c": ["MIIB"]},
            {"cty": "JWT"},
        ],
        ids=repr,
    )
    def test_headers(self, tokens: Tokens, keys: KeyRing, changes: dict[str, object]) -> None:
        with pytest.raises(InvalidToken):
            tokens.verify_access(signed(keys, good_claims(), **changes))

    @pytest.mark.parametrize("payload", ["", "null", "[]", '"access"', "{", b"\xff\xfe", "[" * 2000, "NaN"], ids=repr)
    def test_payloads(self, tokens: Tokens, keys: KeyRing, payload: str | bytes) -> None:
        header = json.dumps({"alg": "Ed25519", "kid": keys.signing_kid, "typ": "JWT"})
        with pytest.raises(InvalidToken):
            tokens.verify_access(sign_raw(keys, header, payload))

    @pytest.mark.parametrize("header", ["", "null", "[]", '"alg"', "{", b"\xff", "[" * 300], ids=repr)
    def test_broken_headers(self, tokens: Tokens, keys: KeyRing, header: str | bytes) -> None:
        with pytest.raises(InvalidToken):
            tokens.verify_access(sign_raw(keys, header, json.dumps(good_claims())))

    def test_another_key_under_our_kid(self, tokens: Tokens, keys: KeyRing) -> None:
        header = {"alg": "Ed25519", "kid": keys.signing_kid}
        other = OKPKey.generate_key("Ed25519")
        with pytest.raises(InvalidToken):
            tokens.verify_access(jwt.encode(header, good_claims(), other, algorithms=["Ed25519"]))

    def test_our_public_key_as_a_shared_secret(self, tokens: Tokens, keys: KeyRing) -> None:
        secret = OctKey.import_key(keys.public_jwks().keys[0].x)
        header = {"alg": "HS256", "kid": keys.signing_kid}
        with pytest.raises(InvalidToken):
            tokens.verify_access(jwt.encode(header, good_claims(), secret, algorithms=["HS256"]))

    def test_another_kind_of_key(self, tokens: Tokens, keys: KeyRing) -> None:
        header = {"alg": "ES256", "kid": keys.signing_kid}
        with pytest.raises(InvalidToken):
            tokens.verify_access(jwt.encode(header, good_claims(), ECKey.generate_key("P-256"), algorithms=["ES256"]))

    @pytest.mark.parametrize(
        "damage",
        [
            lambda token: token.rpartition(".")[0],
            lambda token: token.rpartition(".")[0] + ".",
            lambda token: token.rpartition(".")[0] + "." + "A" * 86,
            lambda token: token + "=",
            lambda token: token + "==",
            lambda token: token + ".",
            lambda token: token + " ",
            lambda token: " " + token,
            lambda token: token + "A",
            lambda token: token.replace(".", "..", 1),
            lambda token: "." + token,
            lambda token: token[:-1] + chr(ord(token[-1]) ^ 1),
            lambda token: token.replace("e", "é", 1),
            lambda token: token + "\ud800",
            lambda token: token + "\x00",
            lambda _: "",
            lambda _: "..",
            lambda _: "a.b.c",
            lambda _: "a.b.c.d.e",
        ],
    )
    def test_texts(self, tokens: Tokens, damage: Callable[[str], str]) -> None:
        with pytest.raises(InvalidToken):
            tokens.verify_access(damage(tokens.issue_access(USER, SESSION, JTI)))

    def test_the_signature_of_another_good_token(self, tokens: Tokens) -> None:
        body = tokens.issue_access(USER, SESSION, JTI).rpartition(".")[0]
        signature = tokens.issue_access(USER, SESSION, uuid4()).rpartition(".")[2]
        with pytest.raises(InvalidToken):
            tokens.verify_access(f"{body}.{signature}")

    def test_a_megabyte_is_refused_at_once(self, tokens: Tokens) -> None:
        token = tokens.issue_access(USER, SESSION, JTI) + "A" * 1_000_000
        begin = time.thread_time()
        for _ in range(100):
            with pytest.raises(InvalidToken):
                tokens.verify_access(token)
        assert time.thread_time() - begin < 0.5

    def test_ours_fit_well_within_the_bound(self, keys: KeyRing) -> None:
        tokens = Tokens(keys, "https://" + "x" * 253)
        assert len(tokens.issue_access(USER, SESSION, JTI)) < MAX_TOKEN_LENGTH / 2

    @settings(deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 255))
    def test_any_changed_character(self, position: int, change: int) -> None:
        keys = KeyRing.from_json('{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}')
        tokens = Tokens(keys, ISSUER, clock=Clock())
        token = tokens.issue_access(UUID(int=1), UUID(int=2), UUID(int=3))
        at = position % len(token)
        forged = token[:at] + chr(ord(token[at]) ^ change) + token[at + 1 :]
        with pytest.raises(InvalidToken):
            tokens.verify_access(forged)

    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        with pytest.raises(InvalidToken):
            Tokens(KeyRing.generate(), ISSUER).verify_signature(text)
