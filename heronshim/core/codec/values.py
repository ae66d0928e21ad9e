"""Configuration values as MessagePack maps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heronshim.core.plan.plain_values import value_problems
from heronshim.errors import ConfigError, RemoteProtocolError


def _as_dict(value: object) -> dict[str, object]:
    """Return a mapping that is no dict as one; others have been refused."""
    assert isinstance(value, Mapping)
    return dict(value)


_write = msgspec.msgpack.Encoder(enc_hook=_as_dict).encode
_read = msgspec.msgpack.Decoder(dict[str, object]).decode


def values_to_bytes(values: Mapping[str, object], where: str = "values") -> bytes:
    """Return `values` as a MessagePack map; an empty mapping gives empty bytes.

    Tuples are written as lists. `where` begins the messages.

    Raises:
        ConfigError: a value or key cannot be written; one line for each, naming it.
    """
    if not values:
        return b""
    problems = value_problems(values, where)
    if problems:
        raise ConfigError("\n".join(problems))
    return _write(values)


def values_from_bytes(data: bytes, field: str = "values") -> dict[str, object]:
    """Return what `values_to_bytes` wrote.

    Raises:
        RemoteProtocolError: `data` is not a MessagePack map with text keys; names `field`.
    """
    if not data:
        return {}
    try:
        values = _read(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{field}: {len(data)} bytes are not a MessagePack map with text keys: {error}"
        raise RemoteProtocolError(msg) from None
    problems = value_problems(values, field)
    if problems:
        raise RemoteProtocolError(problems[0])
    return values
