"""Payloads that look small and grow when they are read, or are no messages at all."""

from __future__ import annotations

from tests.input.peers import field, text, varint

BOMBS = {
    "groups in groups": field(99, 3) * 50_000 + field(99, 4) * 50_000,
    "deep messages": b"\x0a" * 100_000,
    "unknown fields": text(1000, b"x" * 100) * 5000,
    "highest field": field((1 << 29) - 1, 0) + b"\1",
    "field zero": b"\0\1",
    "reserved wire type": field(1, 6) + b"\1",
    "unended group": field(1, 3) * 100,
    "endless varint": field(2, 0) + b"\xff" * 1000,
    "length beyond the end": field(1, 2) + varint((1 << 31) - 1),
    "negative length": field(1, 2) + varint((1 << 64) - 1),
    "bad UTF-8": text(4, b"\xff\xfe\x80") + text(2, b"\xed\xa0\x80") + text(1, b"\xc0\x80"),
    "packed numbers": text(1, b"\x80\x02" * 200_000) + text(2, b"\1" * 200_000),
    "packed columns": text(1, b"\1" * 500_000) + text(2, b"\1" * 500_000),
    "repeated numbers": (field(1, 0) + b"\1") * 250_000,
    "many tasks": text(5, b"\x80\x02" * 500_000),
    "long text": text(4, b"x" * 1_000_000),
    "long id": text(1, b"\xe2\x80\xae" * 300_000),
}
