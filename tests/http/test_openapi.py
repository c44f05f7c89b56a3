"""The description of the API, and the pages that show it."""

import re
from typing import Any

import httpx
import pytest

from tests.answers import problem

DOCUMENT = "/api/v1/openapi.json"


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(DOCUMENT)
    assert answer.status_code == 200
    tree: dict[str, Any] = answer.json()
    return tree


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, methods in document["paths"].items() for method, entry in methods.items()]


class TestDocument:
    async def test_declares_cookie_and_bearer(self, document: dict[str, Any]) -> None:
        schemes = document["components"]["securitySchemes"].values()
        assert {(scheme["type"], scheme.get("in", scheme.get("scheme"))) for scheme in schemes} == {
            ("apiKey", "cookie"),
            ("http", "bearer"),
        }

    async def test_every_operation_has_a_name_of_its_own_and_a_summary(self, document: dict[str, Any]) -> None:
        found = operations(document)
        assert len({entry["operationId"] for _, _, entry in found}) == len(found)
        assert all(entry["summary"] for _, _, entry in found)

    async def test_every_problem_is_described(self, document: dict[str, Any]) -> None:
        for path, method, entry in operations(document):
            for status, response in entry["responses"].items():
                if status.startswith(("4", "5")) and "/health" not in path:
                    resolved = _resolved(document, response)
                    assert "application/problem+json" in resolved.get("content", {}), (path, method, status)

    @pytest.mark.parametrize(
        ("path", "method", "statuses"),
        [
            ("/api/v1/exercises/user", "post", {"201", "401", "404", "409", "422"}),
            ("/api/v1/training-sessions/{session_id}", "patch", {"200", "401", "404", "412", "422"}),
            ("/api/v1/training-sessions/{session_id}", "delete", {"204", "401", "404", "412"}),
            ("/api/v1/access/signin", "post", {"204", "401", "403", "422", "429"}),
        ],
    )
    async def test_lists_the_answers(
        self, document: dict[str, Any], path: str, method: str, statuses: set[str]
    ) -> None:
        assert statuses <= document["paths"][path][method]["responses"].keys()

    @pytest.mark.parametrize(
        ("path", "statuses"),
        [
            ("/api/v1/exercises/criteria", {"200", "400", "404"}),
            ("/health", {"200", "503"}),
            ("/health/ready", {"200", "503"}),
            ("/metrics", {"200", "404"}),
        ],
    )
    async def test_lists_the_unusual_answers(self, document: dict[str, Any], path: str, statuses: set[str]) -> None:
        assert statuses <= document["paths"][path]["get"]["responses"].keys()

    async def test_bodies_have_their_bounds(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        reps = schemas["NewSet"]["properties"]["repsCompleted"]["anyOf"][0]
        assert (reps["minimum"], reps["maximum"]) == (0, 32767)
        assert schemas["NewCustomExercise"]["properties"]["primaryMuscles"]["minItems"] == 1

    async def test_unknown_fields_are_told_to_be_refused(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        bodies = ("NewSet", "SignUp", "SessionChange", "ProfilePatch", "NewSystemExercise")
        assert all(schemas[name]["additionalProperties"] is False for name in bodies)
        assert schemas["ProfilePatch"]["properties"]["roleSlug"]["readOnly"] is True

    async def test_a_whole_number_is_a_decimal_too(self, document: dict[str, Any]) -> None:
        assert "oneOf" not in document["components"]["schemas"]["SessionSet"]["properties"]["weight"]

    async def test_query_parameters_have_their_bounds(self, document: dict[str, Any]) -> None:
        parameters = document["paths"]["/api/v1/exercises"]["get"]["parameters"]
        schemas = {parameter["name"]: parameter["schema"] for parameter in parameters}
        [muscles] = schemas["primaryMuscles"]["oneOf"]
        assert (muscles["items"]["minimum"], muscles["items"]["maximum"]) == (1, 32767)
        assert schemas["pageSize"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}

    async def test_tells_which_bodies_may_be_absent(self, document: dict[str, Any]) -> None:
        optional = {entry["operationId"] for *_, entry in operations(document) if not _needs_its_body(entry)}
        assert optional == {"completeTrainingSession", "makeTrainingPlanLink", "makeTrainingUnitLink"}

    async def test_names_the_headers_that_are_heeded(self, document: dict[str, Any]) -> None:
        session = document["paths"]["/api/v1/training-sessions/{session_id}"]
        assert "If-Match" in {parameter["name"] for parameter in session["patch"]["parameters"]}
        start = document["paths"]["/api/v1/training-sessions"]["post"]
        assert "Idempotency-Key" in {parameter["name"] for parameter in start["parameters"]}

    async def test_names_are_camel_case(self, document: dict[str, Any]) -> None:
        names = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})}
        assert {"primaryMuscles", "startTime"} <= names
        parameters = {
            parameter["name"]
            for _, _, entry in operations(document)
            for parameter in entry.get("parameters", [])
            if parameter["in"] == "query"
        }
        assert not [name for name in names | parameters if "_" in name]

    async def test_references_lead_somewhere(self, document: dict[str, Any], client: httpx.AsyncClient) -> None:
        text = (await client.get(DOCUMENT)).text
        for reference in set(re.findall(r'"\$ref":\s*"(#[^"]+)"', text)):
            assert _resolved(document, {"$ref": reference})


class TestPages:
    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_need_nothing_from_elsewhere(self, client: httpx.AsyncClient, path: str) -> None:
        page = await client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        links = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)
        assert links
        assert not [link for link in links if "://" in link or link.startswith("//")]
        for link in links:
            answer = await client.get(link)
            assert answer.status_code == 200, link
            assert answer.content

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    async def test_allow_scripts_of_their_own_only(self, client: httpx.AsyncClient, path: str) -> None:
        policy = (await client.get(path)).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-eval" not in policy

    @pytest.mark.parametrize("path", ["/docs/assets/../../../etc/passwd", "/docs/assets/%2e%2e/%2e%2e/etc/passwd"])
    async def test_serve_their_own_files_only(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 404


def _needs_its_body(operation: dict[str, Any]) -> bool:
    return bool(operation.get("requestBody", {"required": True})["required"])


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


async def test_below_the_document_there_is_nothing(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/openapi.json/x", "/api/v1/openapi.json/x.json"):
        problem(await client.get(path), 404)
