"""The bytes of ZMTP 3.1 (rfc.zeromq.org/spec/37), for peers that speak it badly."""

from __future__ import annotations

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = SIGNATURE + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
MORE, LARGE, COMMAND = 1, 2, 4


def frame(body: bytes, flags: int = 0) -> bytes:
    """Return a frame; long ones get a length of 8 bytes."""
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LARGE]) + len(body).to_bytes(8, "big") + body


def command(name: bytes, data: bytes = b"") -> bytes:
    return frame(bytes([len(name)]) + name + data, COMMAND)


def ready(**properties: bytes) -> bytes:
    """Return the READY command of the NULL mechanism."""
    data = b"".join(
        bytes([len(name)]) + name.encode() + len(value).to_bytes(4, "big") + value
        for name, value in (item for item in properties.items())
    )
    return command(b"READY", data)


HANDSHAKE = GREETING + command(
    b"READY", b"\x0bSocket-Type\0\0\0\x06DEALER" + b"\x08Identity\0\0\0\0"
)
