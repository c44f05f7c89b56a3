import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from app.security.keys import KeyRing, KeyRingError


def private_jwk(ring: KeyRing) -> dict[str, Any]:
    return dict(ring.signing_key.as_dict(private=True))


class TestKeyRing:
    def test_the_key_id_is_the_thumbprint(self) -> None:
        # RFC 8037, appendix A.3
        jwk = {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "not believed",
        }
        assert KeyRing.from_json(json.dumps(jwk)).signing_kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

    def test_publishes_no_private_half(self) -> None:
        ring = KeyRing.generate().rotate()
        published = ring.public_jwks()
        assert [key.kid for key in published.keys] == list(ring.kids)
        assert {(key.alg, key.use, key.kty, key.crv) for key in published.keys} == {
            ("Ed25519", "sig", "OKP", "Ed25519")
        }
        assert [key.x for key in published.keys] == [key.as_dict(private=False)["x"] for key in ring.key_set.keys]

    def test_rotation_keeps_the_old_keys_for_verifying(self) -> None:
        first = KeyRing.generate()
        second = first.rotate()
        assert second.signing_kid not in first
        assert second.kids == (second.signing_kid, first.signing_kid)

    def test_a_retired_key_is_gone(self) -> None:
        first = KeyRing.generate()
        ring = first.rotate().retire(first.signing_kid)
        assert first.signing_kid not in ring
        assert len(ring.kids) == 1

    def test_the_signing_key_is_not_retired(self) -> None:
        ring = KeyRing.generate().rotate()
        with pytest.raises(KeyRingError, match="rotate first"):
            ring.retire(ring.signing_kid)
        with pytest.raises(KeyRingError, match="no key nonsense"):
            ring.retire("nonsense")

    def test_reads_a_set_with_public_keys_behind_the_first(self) -> None:
        ring, other = KeyRing.generate(), KeyRing.generate()
        text = json.dumps({"keys": [private_jwk(ring), other.signing_key.as_dict(private=False)]})
        assert KeyRing.from_json(text).kids == (ring.signing_kid, other.signing_kid)

    def test_reads_a_private_key_without_its_public_half(self) -> None:
        ring = KeyRing.generate()
        jwk = private_jwk(ring)
        del jwk["x"]
        assert KeyRing.from_json(json.dumps(jwk)).kids == ring.kids

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda jwk: jwk.update(kty="RSA"), "Not an Ed25519 JWK"),
            (lambda jwk: jwk.update(crv="X25519"), "Not an Ed25519 JWK"),
            (lambda jwk: jwk.pop("kty"), "kty"),
            (lambda jwk: jwk.update(d="AAAA"), "Key 1: d has 3 bytes instead of 32"),
            (lambda jwk: jwk.update(d="***"), "Key 1: d is not base64url"),
            (lambda jwk: jwk.update(d="ä"), "Key 1: d is not base64url"),
            (lambda jwk: jwk.update(x="A" * 43), "x is not the public half of d"),
            (lambda jwk: jwk.pop("d"), "private half"),
            (lambda jwk: (jwk.pop("d"), jwk.pop("x")), "neither d nor x"),
        ],
    )
    def test_says_what_is_wrong_with_a_key(self, change: Callable[[dict[str, Any]], object], why: str) -> None:
        jwk = private_jwk(KeyRing.generate())
        secret = jwk["d"]
        change(jwk)
        with pytest.raises(KeyRingError, match=why) as caught:
            KeyRing.from_json(json.dumps(jwk))
        assert secret not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "Not JSON"),
            ("{", "Not JSON"),
            ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "Not JSON"),
            ("[]", "Not an Ed25519 JWK"),
            ('{"keys": []}', "no key"),
            ('{"keys": [1]}', "Not an Ed25519 JWK"),
        ],
    )
    def test_says_what_is_wrong_with_a_text(self, text: str, why: str) -> None:
        with pytest.raises(KeyRingError, match=why):
            KeyRing.from_json(text)

    def test_refuses_the_same_key_twice(self) -> None:
        jwk = private_jwk(KeyRing.generate())
        with pytest.raises(KeyRingError, match="twice"):
            KeyRing.from_json(json.dumps({"keys": [jwk, jwk]}))


class TestFile:
    def test_comes_back_as_it_was_saved(self, tmp_path: Path) -> None:
        ring = KeyRing.generate().rotate()
        ring.save(tmp_path / "keys.json")
        loaded = KeyRing.load(tmp_path / "keys.json")
        assert loaded.kids == ring.kids
        assert loaded.signing_key.as_dict(private=True) == ring.signing_key.as_dict(private=True)

    def test_is_for_its_owner_only_and_replaced_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        path.write_text("{}")
        path.chmod(0o644)
        KeyRing.generate().save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failed_save_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        path.mkdir()
        with pytest.raises(IsADirectoryError):
            KeyRing.generate().save(path)
        assert list(tmp_path.iterdir()) == [path]

    def test_names_the_file_that_can_not_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"missing\.json"):
            KeyRing.load(tmp_path / "missing.json")
        (tmp_path / "bad.json").write_bytes(b"\xff")
        with pytest.raises(KeyRingError, match=r"bad\.json"):
            KeyRing.load(tmp_path / "bad.json")


def test_a_key_of_another_curve_can_not_sneak_in() -> None:
    with pytest.raises(KeyRingError):
        KeyRing.from_json(json.dumps(OKPKey.generate_key("Ed448").as_dict(private=True)))
