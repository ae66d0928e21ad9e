"""Payloads that look small and grow when they are read, or are no messages at all."""

from __future__ import annotations

import io
import struct
import zipfile

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


def hidden_directory(entries: int) -> bytes:
    """A zip whose last record says that it has no entries, and an earlier one says how many."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number:05}", b"")
    content = file.getvalue()
    _, _, _, _, _, size, at, _ = struct.unpack("<4s4H2IH", content[-22:])
    content = content[:-22]
    newer = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, at)
    newer += struct.pack("<4sIQI", b"PK\6\7", 0, len(content), 1)
    return content + newer + struct.pack("<4s4H2IH", b"PK\5\6", *[0] * 4, 76, len(content), 0)
