"""How names are folded for search and slugs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.catalogue.names import fold, slugify
from app.errors import RuleBroken


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Push-Up", "push-up"),
        ("Farmer's Walk", "farmer-s-walk"),
        ("  Clean & Jerk!! ", "clean-jerk"),
        ("Élévation Latérale", "elevation-laterale"),
        ("Größe Ølen Łódź", "grosse-olen-lodz"),
        ("ﬁsh №5", "fish-no5"),
        ("45° Leg Press", "45-leg-press"),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    assert slugify(name) == slug


@given(st.text(max_size=100))
def test_every_slug_is_one(name: str) -> None:
    try:
        slug = slugify(name)
    except RuleBroken:
        return
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert len(slug) <= 100
    assert slugify(slug) == slug


@given(st.text(max_size=100))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)
