"""Proof that a process was started by its topology's supervisor."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from heronshim.core.io.regular_file import open_regular
from heronshim.errors import StateError

SECRET_BYTES = 32
_FILE_BYTES_MAX = 1024


def read_secret(path: str) -> bytes:
    """Return a topology's 256-bit secret.

    Raises:
        StateError: the file is missing, another user's, readable by others, or not 64 hex digits.
    """
    try:
        with open_regular(Path(path)) as file:
            status = os.fstat(file.fileno())
            content = file.read(_FILE_BYTES_MAX)
        secret = bytes.fromhex(content.decode("ascii"))
    except (OSError, ValueError) as error:
        # Not the error's own text: it may quote what the file holds.
        cause = error.strerror if isinstance(error, OSError) else "it is not 64 hex digits"
        msg = f"secret file {path} cannot be read: {cause}; submit the topology again"
        raise StateError(msg) from None
    if status.st_uid != os.getuid():
        msg = f"secret file {path} belongs to another user; submit the topology again"
        raise StateError(msg)
    mode = status.st_mode & 0o777
    if mode & 0o077:
        msg = f"secret file {path} has mode {mode:o}; expected 600: run chmod 600 on it"
        raise StateError(msg)
    if len(secret) != SECRET_BYTES:
        msg = (
            f"secret file {path} holds {len(secret)} bytes, expected {SECRET_BYTES}; "
            "submit the topology again"
        )
        raise StateError(msg)
    return secret


def process_token(secret: bytes, topology_id: str, process: str, incarnation: int) -> str:
    """Return the hex HMAC-SHA256 that Hello.token carries."""
    text = f"{topology_id}\0{process}\0{incarnation}"
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def token_matches(
    secret: bytes, topology_id: str, process: str, incarnation: int, token: str
) -> bool:
    """Return whether a Hello's token is right; takes the same time for each wrong one."""
    expected = process_token(secret, topology_id, process, incarnation)
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace"))
