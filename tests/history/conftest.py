"""What tests of the history may ask for beyond the usual."""

import httpx
import pytest

from tests.actors import Actor, sign_in
from tests.conftest import MakeApp


@pytest.fixture
async def clients(athlete: Actor, make_app: MakeApp) -> list[httpx.AsyncClient]:
    """Ten clients of one athlete: five on each of two apps."""
    others = (await make_app()).client()
    await sign_in(others, athlete.email)
    return [athlete.client, others] * 5
