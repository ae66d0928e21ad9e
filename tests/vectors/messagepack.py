"""A small MessagePack writer of its own, so that vectors do not come from the code they check.

Values are tagged as in field_hash.json: {"class": a Java class, "value" or "bits" or "utf16": ...}.
"""

from __future__ import annotations

import struct
from typing import Any

Tagged = dict[str, Any]


def null() -> Tagged:
    return {"class": "null"}


def boolean(value: bool) -> Tagged:
    return {"class": "Boolean", "value": value}


def integer(value: int) -> Tagged:
    return {"class": "Integer", "value": str(value)}


def long(value: int) -> Tagged:
    """Return the tag of a Long, of a BigInteger outside of int64."""
    kind = "Long" if -(1 << 63) <= value < 1 << 63 else "BigInteger"
    return {"class": kind, "value": str(value)}


def single(bits: str) -> Tagged:
    return {"class": "Float", "bits": bits}


def double(bits: str) -> Tagged:
    return {"class": "Double", "bits": bits}


def text(value: str) -> Tagged:
    return {"class": "String", "utf16": value.encode("utf-16-be", "surrogatepass").hex()}


def octets(value: bytes) -> Tagged:
    return {"class": "byte[]", "value": value.hex()}


def sequence(*values: Tagged) -> Tagged:
    return {"class": "List", "value": list(values)}


def mapping(*pairs: tuple[Tagged, Tagged]) -> Tagged:
    return {"class": "Map", "value": [list(pair) for pair in pairs]}


def as_python(value: Tagged) -> Tagged:
    """Return the tag of what languages with one integer and one float type read."""
    kind = value["class"]
    if kind == "Integer":
        return long(int(value["value"]))
    if kind == "Float":
        wide = struct.pack(">d", struct.unpack(">f", bytes.fromhex(value["bits"]))[0])
        return double(wide.hex())
    if kind == "List":
        return sequence(*map(as_python, value["value"]))
    if kind == "Map":
        return mapping(*[(as_python(key), as_python(item)) for key, item in value["value"]])
    return value


def pack(value: Tagged, *, java: bool = False) -> bytes:
    """Write a value; `java`: Integer and Long in their full width, otherwise the shortest form."""
    kind = value["class"]
    if kind == "null":
        return b"\xc0"
    if kind == "Boolean":
        return b"\xc3" if value["value"] else b"\xc2"
    if kind in ("Integer", "Long", "BigInteger"):
        return _integer(int(value["value"]), kind if java else "")
    if kind == "Float":
        return b"\xca" + bytes.fromhex(value["bits"])
    if kind == "Double":
        return b"\xcb" + bytes.fromhex(value["bits"])
    if kind == "String":
        data = bytes.fromhex(value["utf16"]).decode("utf-16-be").encode()
        return _head(len(data), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + data
    if kind == "byte[]":
        data = bytes.fromhex(value["value"])
        return _head(len(data), None, (0xC4, 0xC5, 0xC6)) + data
    items = value["value"]
    if kind == "List":
        head = _head(len(items), (0x90, 16), (None, 0xDC, 0xDD))
        return head + b"".join(pack(item, java=java) for item in items)
    assert kind == "Map"
    head = _head(len(items), (0x80, 16), (None, 0xDE, 0xDF))
    return head + b"".join(pack(part, java=java) for pair in items for part in pair)


def _integer(value: int, java_class: str) -> bytes:
    if java_class == "Integer":
        return struct.pack(">Bi", 0xD2, value)
    if java_class == "Long":
        return struct.pack(">Bq", 0xD3, value)
    if -32 <= value < 128:
        return struct.pack(">b" if value < 0 else ">B", value)
    forms = (
        ((0xCC, "B", 8), (0xCD, "H", 16), (0xCE, "I", 32), (0xCF, "Q", 64))
        if value >= 0
        else ((0xD0, "b", 7), (0xD1, "h", 15), (0xD2, "i", 31), (0xD3, "q", 63))
    )
    for code, form, bits in forms:
        if -(1 << bits) <= value < 1 << bits:
            return struct.pack(f">B{form}", code, value)
    msg = f"{value} has no MessagePack form"
    raise ValueError(msg)


def _head(size: int, fixed: tuple[int, int] | None, codes: tuple[int | None, int, int]) -> bytes:
    """Return type and size: in one byte where it fits, else with 8, 16 or 32 bits of size."""
    if fixed is not None and size < fixed[1]:
        return bytes([fixed[0] | size])
    for code, form, limit in zip(codes, "BHI", (1 << 8, 1 << 16, 1 << 32), strict=True):
        if code is not None and size < limit:
            return struct.pack(f">B{form}", code, size)
    msg = f"{size} is too large"
    raise ValueError(msg)
