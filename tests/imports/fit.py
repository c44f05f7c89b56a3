"""A writer of FIT files, as small as the tests need: what a watch stores of an activity, byte for byte."""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

EPOCH: Final = datetime(1989, 12, 31, tzinfo=UTC)
RUNNING, CYCLING = 1, 2
TREADMILL = 1

# Base types of the protocol, with how Python packs them and what stands for nothing.
_TYPES: Final[Mapping[str, tuple[int, str, int]]] = {
    "enum": (0x00, "B", 0xFF),
    "uint8": (0x02, "B", 0xFF),
    "uint16": (0x84, "H", 0xFFFF),
    "sint32": (0x85, "i", 0x7FFFFFFF),
    "uint32": (0x86, "I", 0xFFFFFFFF),
    "uint32z": (0x8C, "I", 0),
}
# Each message's number, and its fields: name, number, type.
_MESSAGES: Final[Mapping[str, tuple[int, tuple[tuple[str, int, str], ...]]]] = {
    "file_id": (
        0,
        (
            ("type", 0, "enum"),
            ("manufacturer", 1, "uint16"),
            ("serial_number", 3, "uint32z"),
            ("time_created", 4, "uint32"),
        ),
    ),
    "event": (21, (("timestamp", 253, "uint32"), ("event", 0, "enum"), ("event_type", 1, "enum"))),
    "record": (
        20,
        (
            ("timestamp", 253, "uint32"),
            ("position_lat", 0, "sint32"),
            ("position_long", 1, "sint32"),
            ("altitude", 2, "uint16"),
            ("heart_rate", 3, "uint8"),
            ("distance", 5, "uint32"),
        ),
    ),
    "lap": (19, (("timestamp", 253, "uint32"), ("start_time", 2, "uint32"), ("total_distance", 9, "uint32"))),
    "session": (
        18,
        (
            ("timestamp", 253, "uint32"),
            ("start_time", 2, "uint32"),
            ("sport", 5, "enum"),
            ("sub_sport", 6, "enum"),
            ("total_elapsed_time", 7, "uint32"),
            ("total_timer_time", 8, "uint32"),
            ("total_distance", 9, "uint32"),
            ("avg_heart_rate", 16, "uint8"),
            ("total_ascent", 22, "uint16"),
        ),
    ),
}
_LOCAL: Final = {name: number for number, name in enumerate(_MESSAGES)}


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC: Final = tuple(map(_crc_of, range(256)))


def seconds(moment: datetime) -> int:
    """An instant as the protocol counts it."""
    return int((moment - EPOCH).total_seconds())


def semicircles(degrees: float) -> int:
    """An angle as the protocol counts it."""
    return round(degrees * 2**31 / 180)


def altitude(metres: float) -> int:
    """A height as the protocol counts it."""
    return round((metres + 500) * 5)


def fit_file(messages: Iterable[tuple[str, Mapping[str, int | None]]]) -> bytes:
    """A whole file: each message with the definition it needs."""
    body, defined = bytearray(), set[str]()
    for name, values in messages:
        if name not in defined:
            defined.add(name)
            body += definition(name)
        body += data(name, values)
    return framed(body)


def framed(body: bytes | bytearray) -> bytes:
    """Messages between the header and the checksum."""
    head = struct.pack("<BBHI4s", 14, 0x20, 2132, len(body), b".FIT")
    head += struct.pack("<H", crc(head))
    return head + body + struct.pack("<H", crc(head + body))


def crc(content: bytes | bytearray) -> int:
    """The protocol's checksum of 16 bits."""
    value = 0
    for byte in content:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value


def definition(name: str) -> bytes:
    """What says which fields the messages of a kind have."""
    number, fields = _MESSAGES[name]
    head = struct.pack("<BBBHB", 0x40 | _LOCAL[name], 0, 0, number, len(fields))
    parts = ((field, struct.calcsize(_TYPES[kind][1]), _TYPES[kind][0]) for _, field, kind in fields)
    return head + b"".join(struct.pack("<BBB", *part) for part in parts)


def data(name: str, values: Mapping[str, int | None]) -> bytes:
    """A message; the time comes first, behind a byte that tells its kind."""
    packed = bytearray([_LOCAL[name]])
    for field, _, kind in _MESSAGES[name][1]:
        _, code, nothing = _TYPES[kind]
        value = values.get(field)
        packed += struct.pack(f"<{code}", nothing if value is None else value)
    return bytes(packed)
