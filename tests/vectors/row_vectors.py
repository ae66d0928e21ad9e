"""Vectors of the row codec: values and their MessagePack bytes."""

from __future__ import annotations

from typing import Any

from messagepack import (
    Tagged,
    as_python,
    boolean,
    double,
    integer,
    long,
    mapping,
    null,
    octets,
    pack,
    sequence,
    single,
    text,
)

EDGES = (
    0, 1, -1, 127, 128, -32, -33, 255, 256, -128, -129, 32767, 32768, 65535, 65536, -32768, -32769,
    2**31 - 1, -(2**31),
)  # fmt: skip
WIDE = (2**31, -(2**31) - 1, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, -(2**63))
ABOUT = (
    "value: what a Java task emits (tags as in field_hash.json); java_bytes: what Java writes, "
    "Integer always as int32 (d2), Long always as int64 (d3), null where Java has no exact class "
    "for it; read: what languages with one integer and one float type read from either; bytes: "
    "what they write for that. Between two Java tasks the form gives the class back; an integer "
    "that comes from another language is a Long in Java, whatever its width."
)


def rows() -> dict[str, Any]:
    """Return rows.json."""
    return {
        "about": ABOUT,
        "values": [_value(name, value) for name, value in _values()],
        "readable": [
            {"name": name, "bytes": data, "read": value} for name, data, value in _readable()
        ],
        "blobs": [
            {"name": name, "rows": value, "bytes": pack(value).hex()} for name, value in _blobs()
        ],
        "unwritable": [
            {"name": "2^64", "value": long(2**64)},
            {"name": "-2^63 - 1", "value": long(-(2**63) - 1)},
            {"name": "a lone surrogate is not UTF-8", "value": text("\ud83d")},
        ],
        "unreadable": [
            {"name": "no bytes", "bytes": ""},
            {"name": "a row that is no array", "bytes": "9101"},
            {"name": "a blob that is no array", "bytes": "80"},
            {"name": "cut short", "bytes": "9192a161"},
            {"name": "text that is not UTF-8", "bytes": "9191a1ff"},
            {"name": "bytes after the array", "bytes": "91910101"},
            {"name": "the code that MessagePack never uses", "bytes": "9191c1"},
        ],
    }


def _value(name: str, value: Tagged) -> dict[str, Any]:
    read = as_python(value)
    java = None if value["class"] == "BigInteger" else pack(value, java=True).hex()
    return {
        "name": name, "java": value["class"], "value": value, "java_bytes": java,
        "read": read, "bytes": pack(read).hex(),
    }  # fmt: skip


def _values() -> list[tuple[str, Tagged]]:
    found = [("null", null()), ("true", boolean(True)), ("false", boolean(False))]
    found += [(f"Integer {number}", integer(number)) for number in EDGES]
    found += [(f"Long {number}", long(number)) for number in (*EDGES, *WIDE)]
    found += [(f"uint64 {number}", long(number)) for number in (2**63, 2**64 - 1)]
    found += [
        ("Float 1.5", single("3fc00000")),
        ("Float 0.1 widens, it is not 0.1 as Double", single("3dcccccd")),
        ("Float infinity", single("7f800000")),
        ("Double 0", double("0000000000000000")),
        ("Double -0", double("8000000000000000")),
        ("Double 1", double("3ff0000000000000")),
        ("Double 0.1", double("3fb999999999999a")),
        ("Double -infinity", double("fff0000000000000")),
        ("Double NaN", double("7ff8000000000000")),
        ("Double smallest", double("0000000000000001")),
        ("empty text", text("")),
        ("text", text("heron")),
        ("Latin and CJK", text("größe 鷺")),
        ("beyond the BMP: two UTF-16 units, four bytes", text("a😀b")),
        ("text with a zero", text("a\0b")),
        ("text of 31 bytes", text("x" * 31)),
        ("text of 32 bytes", text("x" * 32)),
        ("text of 256 bytes", text("y" * 256)),
        ("empty bytes", octets(b"")),
        ("bytes", octets(b"\x00\x7f\x80\xff")),
        ("bytes of 256", octets(bytes(range(256)))),
        ("empty list", sequence()),
        ("list", sequence(integer(1), long(1), text("1"), null())),
        ("list of 16", sequence(*[long(number) for number in range(16)])),
        ("empty map", mapping()),
        ("map", mapping((text("k"), integer(7)))),
        ("map with a number as key", mapping((long(5), boolean(False)))),
        ("nested", sequence(mapping((text("a"), sequence(single("3fc00000")))), octets(b"z"))),
    ]  # fmt: skip
    return found


def _readable() -> list[tuple[str, str, Tagged]]:
    """Forms that a reader takes though nobody of ours writes them: any width."""
    return [
        ("1 in 8 bits", "cc01", long(1)),
        ("1 in 16 bits", "cd0001", long(1)),
        ("1 in 32 bits", "ce00000001", long(1)),
        ("1 in 64 bits", "cf0000000000000001", long(1)),
        ("1 signed in 8 bits", "d001", long(1)),
        ("-1 signed in 16 bits", "d1ffff", long(-1)),
        ("text with 8 bits of size", "d90161", text("a")),
        ("text with 32 bits of size", "db0000000161", text("a")),
        ("bytes with 16 bits of size", "c50001ff", octets(b"\xff")),
        ("list with 16 bits of size", "dc000101", sequence(long(1))),
        ("map with 32 bits of size", "df00000001a16101", mapping((text("a"), long(1)))),
    ]


def _blobs() -> list[tuple[str, Tagged]]:
    """DataBatch.rows: an array of rows, each an array of values in field order."""
    return [
        ("one row of one word", sequence(sequence(text("heron")))),
        (
            "three rows of (word, count)",
            sequence(*[sequence(text(word), long(n)) for n, word in enumerate(("a", "b", "c"))]),
        ),
        ("a row without fields", sequence(sequence())),
        ("16 rows", sequence(*[sequence(long(number)) for number in range(16)])),
    ]
