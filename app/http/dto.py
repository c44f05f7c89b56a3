"""Bodies: strict on the way in, Structs as they are on the way out.

The fast path is one call of msgspec. Only when it fails is the body read once more, field by field, so that every
broken field is named.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.types.serialization import LitestarEncodableType
from litestar.typing import FieldDefinition
from msgspec import Struct, UnsetType

from app.errors import BreakType, BrokenField, Malformed, RuleBroken, UnknownMediaType
from app.http.fields import FieldError, decode_hook

__all__ = ("Input", "StrictDTO", "classify", "read_document")

T = TypeVar("T")

_JSON = re.compile(r"\s*application/(json|[\w.-]+\+json)\s*(;|$)", re.IGNORECASE)

MAX_NESTING = 100
MAX_DETAILS = 100

_CLASSES: tuple[tuple[re.Pattern[str], BreakType, str], ...] = (
    (re.compile(r"got `null`"), "null", "A value is required here."),
    (re.compile(r"missing required"), "missing", "This field is required."),
    (re.compile(r"unknown field|Unexpected"), "unknown", "There is no such field."),
    (re.compile(r"enum value"), "enum", "This is not one of the allowed values."),
    (re.compile(r"of length|with at (least|most)"), "length", ""),
    (re.compile(r"[<>]=? ?-?[\d.]+|out of range|multiple of"), "range", ""),
    (re.compile(r"matching regex|[Ii]nvalid (UUID|RFC|base64|date|time)"), "pattern", ""),
)


class Input(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A body that a client sends.

    Attributes:
        read_only: wire names of our own answers that are accepted and ignored, so that GET then PUT works.
    """

    read_only: ClassVar[frozenset[str]] = frozenset()


def classify(message: str) -> tuple[BreakType, str]:
    """The kind of a rule that msgspec says is broken, and a sentence about it."""
    reason = message.partition(" - at")[0]
    for pattern, kind, sentence in _CLASSES:
        if pattern.search(reason):
            return kind, sentence or f"{reason.replace('`', '')}."
    return "type", f"{reason.replace('`', '')}."


class StrictDTO(AbstractDTO[T], Generic[T]):
    """Reads a body into a Struct and refuses whatever is not allowed; sends Structs unchanged."""

    def decode_bytes(self, value: bytes) -> T:
        """Read a JSON body.

        Raises:
            UnknownMediaType: it says that it is something else than JSON.
            Malformed: it is not JSON.
            RuleBroken: it breaks rules, all of which are named.
        """
        media_type = self.asgi_connection.headers.get("content-type")
        if media_type is not None and not _JSON.match(media_type):
            raise UnknownMediaType
        document: T = read_document(value, self._data_type())
        return document

    def decode_builtins(self, value: dict[str, Any]) -> T:
        """Read a form.

        Raises:
            RuleBroken: it breaks rules, all of which are named.
        """
        kind = self._data_type()
        try:
            form: T = msgspec.convert(value, kind, strict=False, dec_hook=decode_hook)
        except msgspec.ValidationError:
            raise RuleBroken(_broken_fields(value, kind)) from None
        return form

    def _data_type(self) -> Any:
        field = self.asgi_connection.route_handler.parsed_data_field
        return field.annotation

    def data_to_encodable_type(self, data: Any) -> LitestarEncodableType:
        """Structs are encoded as they are."""
        encodable: LitestarEncodableType = data
        return encodable

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing is generated: the handler's own annotation is the type."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """The schema of the annotation itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Fields are read by msgspec, not by a generated model."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nesting is msgspec's affair."""
        return False


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=decode_hook)


def read_document(body: bytes, kind: Any) -> Any:
    """Read a JSON body as a type.

    Raises:
        Malformed: it is not JSON, not UTF-8, or nested too deep.
        RuleBroken: it breaks rules, all of which are named.
    """
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RuleBroken):
        tree = _parse(body)
    _drop_read_only(tree, kind)
    try:
        return msgspec.convert(tree, kind, dec_hook=decode_hook)
    except (msgspec.ValidationError, RuleBroken):
        raise RuleBroken(_broken_fields(tree, kind)) from None


def _parse(body: bytes) -> Any:
    try:
        if _nesting(body) > MAX_NESTING:
            raise Malformed(f"The body is nested over {MAX_NESTING} levels deep.")
        return msgspec.json.decode(body.decode("utf-8"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("The body is not JSON in UTF-8.") from None


def _nesting(body: bytes) -> int:
    depth = deepest = 0
    for mark in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', body, re.DOTALL):
        if mark[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark[0] in b"]}":
            depth -= 1
    return deepest


def _drop_read_only(value: Any, kind: Any) -> None:
    """Remove, in place, the read-only fields of our own answers at every level."""
    read_only, nested, item = _shape(kind)
    if isinstance(value, dict):
        for name in read_only:
            value.pop(name, None)
        for name, inner in nested:
            if name in value:
                _drop_read_only(value[name], inner)
    elif isinstance(value, list) and item is not None:
        for part in value:
            _drop_read_only(part, item)


@cache
def _shape(kind: Any) -> tuple[frozenset[str], tuple[tuple[str, Any], ...], Any]:
    """The read-only fields of a type, the wire names and types of those that hold others, and the type of its items."""
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        fields = [(field.encode_name, field.type) for field in msgspec.structs.fields(kind)]
        nested = tuple((name, inner) for name, inner in fields if any(_shape(inner)))
        return getattr(kind, "read_only", frozenset()), nested, None
    item = _item_kind(kind)
    return frozenset(), (), item if item is not None and any(_shape(item)) else None


def _plain(kind: Any) -> Any:
    """The one real type inside Annotated and optional types; the type itself when there are several."""
    while get_origin(kind) is Annotated and not isinstance(get_args(kind)[0], type):
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        real = [part for part in get_args(kind) if part not in (NoneType, UnsetType)]
        return _plain(real[0]) if len(real) == 1 else kind
    return kind


def _fitting(value: Any, kind: Any) -> Any:
    """The member of a union that an object or an array is meant to be, so that what is broken in it is named."""
    plain = _plain(kind)
    if get_origin(plain) in (Union, UnionType):
        for part in map(_plain, get_args(plain)):
            is_struct = isinstance(part, type) and issubclass(part, Struct)
            if (isinstance(value, dict) and is_struct) or (isinstance(value, list) and _item_kind(part) is not None):
                return part
    return plain


def _item_kind(kind: Any) -> Any:
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_args(bare)[0] if get_origin(bare) in (list, tuple, set, frozenset) and get_args(bare) else None


def _broken_fields(tree: Any, kind: Any) -> list[BrokenField]:
    found: list[BrokenField] = []
    for broken in _walk(tree, kind, ""):
        found.append(broken)
        if len(found) == MAX_DETAILS:
            break
    return found or [BrokenField("rule", "body", "The body breaks a rule.")]


def _walk(value: Any, kind: Any, path: str) -> Iterator[BrokenField]:
    plain = _fitting(value, kind)
    if isinstance(value, dict) and isinstance(plain, type) and issubclass(plain, Struct):
        yield from _walk_struct(value, plain, path)
        return
    if isinstance(value, list) and (item := _item_kind(plain)) is not None:
        broken = [entry for index, part in enumerate(value) for entry in _walk(part, item, f"{path}[{index}]")]
        if broken:
            yield from broken
            return
    yield from _leaf(value, kind, path or "body")


def _walk_struct(value: Mapping[str, Any], kind: type[Struct], path: str) -> Iterator[BrokenField]:
    prefix = f"{path}." if path else ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    count = 0
    for name, field in fields.items():
        if name in value:
            for broken in _walk(value[name], field.type, prefix + name):
                count += 1
                yield broken
        elif field.required:
            count += 1
            yield BrokenField("missing", prefix + name, "This field is required.")
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value.keys() - fields.keys():
            count += 1
            yield BrokenField("unknown", prefix + name, "There is no such field.")
    if not count:
        yield from _leaf(value, kind, path or "body")


def _leaf(value: Any, kind: Any, path: str) -> Iterator[BrokenField]:
    try:
        msgspec.convert(value, kind, dec_hook=decode_hook)
    except RuleBroken as error:
        for broken in error.details:
            yield BrokenField(broken.type, _below(path, broken.field), broken.message)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if value is None and not isinstance(cause, FieldError):
            yield BrokenField("null", path, "A value is required here.")
        elif isinstance(cause, FieldError):
            yield BrokenField("null" if value is None else cause.kind, path, cause.message)
        else:
            rule, sentence = classify(str(error))
            yield (
                BrokenField("rule", path, str(cause))
                if isinstance(cause, ValueError)
                else BrokenField(rule, path, sentence)
            )


def _below(path: str, field: str) -> str:
    """The wire path of what a Struct says of itself; it does not know where it stands."""
    if path == "body":
        return field
    return path if field == "body" else f"{path}.{field}"
