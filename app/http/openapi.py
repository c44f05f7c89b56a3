"""The description of the API, and pages to read it that need no internet."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from litestar import Controller, Litestar, MediaType, Request, Response, Router, get
from litestar._openapi.schema_generation import SchemaCreator
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityScheme
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import HTTPRoute
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_404_NOT_FOUND
from litestar.typing import FieldDefinition

from app.errors import NotFound
from app.http.admission import PUBLIC
from app.http.dto import Input
from app.http.fields import Scalar
from app.http.idempotency import KEYED_METHODS
from app.http.parameters import parameter_kinds
from app.http.problems import PROBLEM_TYPE
from app.settings import VERSION, Settings

__all__ = ("DocumentsController", "ScalarSchemaPlugin", "assets_router", "openapi_config")

DOCUMENT = "/api/v1/openapi.json"
_REFERENCE = "#/components/schemas/{name}"

_PUBLIC = re.compile(
    r"^(/api/v1)?/(ping|health.*|metrics|\.well-known/.*)$|^/api/v1/access/(signup|signin|refresh-jwt|logout)$"
    r"|^/api/v1/shared/"
)
_LIMITED = re.compile(r"/(access|shared)/")
_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
)
_PROBLEMS = {
    400: "The request can't be read.",
    401: "Nobody is signed in, or the credentials are not good.",
    403: "The caller may not do this.",
    404: "There is no such thing, or the caller may not know of it.",
    409: "The state of what is stored forbids it.",
    412: "If-Match names another state than the stored one, or If-None-Match this one.",
    413: "The body is too large.",
    415: "The body has a media type that is not understood.",
    422: "Rules are broken; `details` names each field.",
    429: "A rate limit is used up; see Retry-After.",
    503: "A part of the service is away or busy; see Retry-After. Nothing was stored.",
}
_STARTER = """
window.ui = SwaggerUIBundle({url: "%s", dom_id: "#page", deepLinking: true, persistAuthorization: false});
"""


def openapi_config(settings: Settings) -> OpenAPIConfig:
    """What Litestar needs to know to describe the API."""
    return OpenAPIConfig(
        title=settings.app.name,
        version=VERSION,
        description="Workouts and runs: one account for strength and running.",
        components=Components(
            security_schemes={
                "cookie": SecurityScheme(
                    type="apiKey", name="access_token", security_scheme_in="cookie", description="Set by sign-in."
                ),
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="An access token, or a personal API token."
                ),
            }
        ),
        security=[{"cookie": []}, {"bearer": []}],
        openapi_router=Router(
            DOCUMENT,
            route_handlers=[],
            include_in_schema=False,
            dto=None,
            return_dto=None,
            opt=PUBLIC,
            after_request=_no_page_of_its_own,
        ),
        render_plugins=[DocumentPlugin(path=["/", "/openapi.json"], media_type=MediaType.JSON)],
        use_handler_docstrings=True,
    )


async def _no_page_of_its_own(answer: Response[Any]) -> Response[Any]:
    """Litestar answers unknown paths below the description by a page; here they are what they are elsewhere."""
    if answer.status_code == HTTP_404_NOT_FOUND:
        raise NotFound
    return answer


class ScalarSchemaPlugin(OpenAPISchemaPlugin):
    """Describes our own kinds of values by the rules that they keep."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether the value is one of our kinds."""
        return isinstance(value, type) and issubclass(value, Scalar)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """The schema of the kind."""
        schema: Schema = field_definition.annotation.schema
        return schema


class DocumentPlugin(OpenAPIRenderPlugin):
    """Serves the description."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The OpenAPI document, with what every route has in common."""
        return description(request.app)


class DocumentsController(Controller):
    """The pages that show the description."""

    include_in_schema = False
    opt = PUBLIC
    dto = None
    return_dto = None

    @get("/docs", media_type=MediaType.HTML)
    async def swagger(self) -> Response[str]:
        """Swagger UI."""
        return _page(
            '<link rel="stylesheet" href="/docs/assets/swagger-ui-dist/swagger-ui.css">',
            '<div id="page"></div><script src="/docs/assets/swagger-ui-dist/swagger-ui-bundle.js"></script>'
            '<script src="/docs/start.js"></script>',
        )

    @get("/docs/start.js", media_type="text/javascript")
    async def starter(self) -> str:
        """What starts Swagger UI; a file of its own, so that the page needs no inline script."""
        return _STARTER % DOCUMENT

    @get("/redoc", media_type=MediaType.HTML)
    async def redoc(self) -> Response[str]:
        """ReDoc."""
        return _page(
            "",
            f'<redoc spec-url="{DOCUMENT}" disable-search="false"></redoc>'
            '<script src="/docs/assets/redoc/bundles/redoc.standalone.js"></script>',
        )


def assets_router() -> Router:
    """The scripts and styles of the pages, from the installed package."""
    spec = find_spec("drf_spectacular_sidecar")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("drf-spectacular-sidecar is not installed; it holds the pages of the documentation.")
    folder = Path(spec.origin).parent / "static" / "drf_spectacular_sidecar"
    return create_static_files_router(
        path="/docs/assets", directories=[folder], include_in_schema=False, cache_control=None, opt=PUBLIC
    )


def description(app: Litestar) -> bytes:
    """The OpenAPI document with what every route has in common; made once."""
    kept: bytes | None = app.state.get("openapi_document")
    if kept is None:
        tree = app.openapi_schema.to_schema()
        _add_problems(tree)
        _describe_bodies(tree)
        _describe_handlers(tree, app)
        kept = app.state["openapi_document"] = msgspec.json.encode(tree)
    return kept


def _add_problems(tree: dict[str, Any]) -> None:
    components = tree.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _problem_schema()
    components["responses"] = {
        f"Problem{status}": {
            "description": sentence,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, sentence in _PROBLEMS.items()
    }
    for path, operations in tree["paths"].items():
        public = bool(_PUBLIC.match(path))
        for method, operation in operations.items():
            if not isinstance(operation, dict):
                continue
            if public:
                operation["security"] = []
            responses = operation.setdefault("responses", {})
            if PROBLEM_TYPE not in responses.get("400", {}).get("content", {}):
                # Litestar's own, which is not how we tell of it.
                responses.pop("400", None)
            for status in _problems_of(path, method, operation, public=public):
                responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}


def _describe_bodies(tree: dict[str, Any]) -> None:
    """Describe what is sent as msgspec reads it: with all bounds, and without fields that are not named."""
    schemas = tree["components"]["schemas"]
    kinds = {kind.__name__: kind for kind in _subclasses(Input) if kind.__module__.startswith("app.")}
    _, described = msgspec.json.schema_components(kinds.values(), schema_hook=_scalar_schema, ref_template=_REFERENCE)
    for name, schema in described.items():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].partition("\n\n")[0].split())
        for ignored in sorted(kinds[name].read_only) if name in kinds else ():
            schema["properties"].setdefault(ignored, {"readOnly": True, "description": "Accepted and ignored."})
        if name in schemas:
            schemas[name] = schema


def _describe_handlers(tree: dict[str, Any], app: Litestar) -> None:
    """Add what only handlers know: bounds of query parameters, headers that are heeded, bodies that may be absent."""
    for route in app.routes:
        for method, (handler, _) in route.route_handler_map.items() if isinstance(route, HTTPRoute) else ():
            operation = tree["paths"].get(route.path_format, {}).get(method.lower())
            if operation is None:
                continue
            kinds = parameter_kinds(app)[handler]
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query":
                    parameter["schema"] |= _query_schema(kinds[parameter["name"]])
            operation.setdefault("parameters", []).extend(_headers_of(handler, method, route.path_format))
            if (body := handler.parsed_data_field) is not None and body.has_default:
                operation["requestBody"]["required"] = False


def _headers_of(handler: HTTPRouteHandler, method: str, path: str) -> list[dict[str, Any]]:
    headers = []
    if "precondition" in handler.parsed_fn_signature.parameters:
        headers.append(_header("If-Match", "ETags, one of which the stored state must have; else 412.", {}))
        headers.append(_header("If-None-Match", "ETags, none of which the stored state may have; else 412.", {}))
    if method in KEYED_METHODS and "public" not in handler.opt and "/access/" not in path:
        visible = {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        headers.append(_header("Idempotency-Key", "With the same body: the first answer again, for 24 h.", visible))
    return headers


def _header(name: str, sentence: str, bounds: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "string", **bounds}
    return {"name": name, "in": "header", "required": False, "description": sentence, "schema": schema}


def _query_schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_scalar_schema, ref_template=_REFERENCE)
    present = [part for part in schema.pop("anyOf", []) if part != {"type": "null"}]
    # What Litestar wrote for an optional one: absent is not null.
    return {"oneOf": present} if present else schema


def _scalar_schema(kind: type) -> dict[str, Any]:
    if issubclass(kind, Scalar):
        return kind.schema.to_schema()
    # How msgspec is told that a type is none of ours.
    raise NotImplementedError


def _subclasses(kind: type[Input]) -> Iterator[type[Input]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _problems_of(path: str, method: str, operation: dict[str, Any], *, public: bool) -> list[int]:
    if public and not _LIMITED.search(path):
        return []
    statuses = [422, 429, 503]
    if not public:
        statuses += [401, 403]
    elif method == "post":
        statuses += [401, 403, 409]
    if "{" in path:
        statuses.append(404)
    if "requestBody" in operation:
        statuses += [400, 413, 415]
    if method in ("put", "patch", "delete"):
        statuses += [409, 412]
    elif method == "post" and not public:
        statuses += [404, 409, 412] if "{" in path else [404, 409]
    return sorted(set(statuses))


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    kinds = ["missing", "null", "type", "range", "length", "pattern", "enum", "unknown", "rule"]
    return {
        "type": "object",
        "description": "An error, after RFC 9457.",
        "required": ["type", "title", "status", "detail", "instance", "requestId"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "requestId": text,
            "message": text,
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "field", "message"],
                    "properties": {"type": {"type": "string", "enum": kinds}, "field": text, "message": text},
                },
            },
        },
    }


def _page(head: str, body: str) -> Response[str]:
    return Response(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head><body>{body}</body></html>',
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": _PAGE_POLICY},
    )
