"""How Valkey is told by its URL; what sentinels do is tested with them, in tests/cluster."""

import pytest
from valkey.asyncio.sentinel import SentinelConnectionPool

from app.security.valkey import open_valkey


@pytest.mark.parametrize(
    ("hosts", "places"),
    [
        ("10.0.0.31,10.0.0.32:26380", [("10.0.0.31", 26379), ("10.0.0.32", 26380)]),
        ("[2001:db8::1],[2001:db8::2]:26380", [("2001:db8::1", 26379), ("2001:db8::2", 26380)]),
    ],
)
async def test_sentinels_are_told_by_host_and_port(hosts: str, places: list[tuple[str, int]]) -> None:
    async with open_valkey(f"valkey+sentinel://:p%2Fw@{hosts}/irontrack?db=1") as client:
        pool = client.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
        assert [(one["host"], one["port"]) for one in asked] == places
        assert {one["password"] for one in asked} == {None}
        assert pool.service_name == "irontrack"
        assert (pool.connection_kwargs["password"], pool.connection_kwargs["db"]) == ("p/w", 1)


@pytest.mark.parametrize("hosts", ["10.0.0.31:port", "10.0.0.31:99999", "2001:db8::1"])
def test_what_is_no_place_is_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="Port"):
        open_valkey(f"valkey+sentinel://{hosts}/irontrack")
