"""Proof that a process was started by its topology's supervisor."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from heronshim.errors import StateError


def read_secret(path: str) -> bytes:
    """Return a topology's 256-bit secret.

    Raises:
        StateError: the file is missing, readable by others, or not 64 hex digits.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode & 0o777
        text = file.read_text("ascii").strip()
        secret = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        msg = f"secret file {path} cannot be read: {error}; submit the topology again"
        raise StateError(msg) from error
    if mode & 0o077:
        msg = f"secret file {path} has mode {mode:o}; expected 600: run chmod 600 on it"
        raise StateError(msg)
    if len(secret) != 32:
        msg = (
            f"secret file {path} holds {len(secret)} bytes, expected 32; submit the topology again"
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
