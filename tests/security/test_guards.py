from typing import Any, cast
from uuid import uuid4

import pytest
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.errors import Forbidden, IronTrackError, Unauthorized
from app.security.guards import principal_of, requires_session, requires_superuser, signed_in
from app.security.principal import Principal, Scope

Connection = ASGIConnection[Any, Any, Any, Any]
HANDLER = cast("BaseRouteHandler", None)


def person(*scopes: Scope, superuser: bool = False) -> Principal:
    """Somebody with a session, or with an API token of these scopes."""
    return Principal(
        user_id=uuid4(),
        session_id=None if scopes else uuid4(),
        token_id=uuid4() if scopes else None,
        scopes=frozenset(scopes) if scopes else None,
        name=None,
        email="ada@example.org",
        is_superuser=superuser,
        role_slug="superuser" if superuser else "application-access",
        timezone="UTC",
        weight_unit="kg",
        distance_unit="km",
        version=1,
    )


def connection(user: Principal | None, method: str = "GET") -> Connection:
    return ASGIConnection(cast("Any", {"type": "http", "method": method, "user": user, "headers": [], "path": "/"}))


READS = ["GET", "HEAD"]
WRITES = ["POST", "PUT", "PATCH", "DELETE"]


class TestSignedIn:
    @pytest.mark.parametrize("method", READS + WRITES)
    async def test_nobody(self, method: str) -> None:
        with pytest.raises(Unauthorized):
            signed_in(connection(None, method))
        for guard in (requires_session, requires_superuser):
            with pytest.raises(Unauthorized):
                await guard(connection(None, method), HANDLER)

    async def test_a_connection_that_nothing_authenticated(self) -> None:
        bare: Connection = ASGIConnection(cast("Any", {"type": "http", "method": "GET"}))
        with pytest.raises(Unauthorized):
            principal_of(bare)

    @pytest.mark.parametrize("method", READS + WRITES)
    async def test_a_session_may_do_everything(self, method: str) -> None:
        ada = person()
        assert signed_in(connection(ada, method)) is ada
        await requires_session(connection(ada, method), HANDLER)
        assert principal_of(connection(ada)) is ada

    @pytest.mark.parametrize(
        ("scopes", "methods"),
        [(("read",), READS), (("write",), READS + WRITES), (("read", "write"), READS + WRITES)],
        ids=str,
    )
    async def test_a_token_may_do_what_its_scopes_say(self, scopes: tuple[Scope, ...], methods: list[str]) -> None:
        for method in READS + WRITES:
            caller = connection(person(*scopes), method)
            if method in methods:
                signed_in(caller)
            else:
                with pytest.raises(Forbidden):
                    signed_in(caller)

    @pytest.mark.parametrize("method", READS + WRITES)
    async def test_no_token_where_a_session_is_needed(self, method: str) -> None:
        with pytest.raises(Forbidden):
            await requires_session(connection(person("read", "write", superuser=True), method), HANDLER)


class TestSuperuser:
    @pytest.mark.parametrize(
        ("user", "method", "refusal"),
        [
            (person(superuser=True), "DELETE", None),
            (person("write", superuser=True), "DELETE", None),
            (person("read", superuser=True), "GET", None),
            (person("read", superuser=True), "DELETE", Forbidden),
            (person(), "GET", Forbidden),
            (person("write"), "GET", Forbidden),
        ],
    )
    async def test_who_may(self, user: Principal, method: str, refusal: type[IronTrackError] | None) -> None:
        guarded = requires_superuser(connection(user, method), HANDLER)
        if refusal is None:
            await guarded
        else:
            with pytest.raises(refusal):
                await guarded
