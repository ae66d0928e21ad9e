"""Configuration values as MessagePack maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ormsgpack

from heronshim.core.plan.plain_values import value_problems
from heronshim.errors import ConfigError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    return ormsgpack.packb(values if isinstance(values, dict) else dict(values))


def values_from_bytes(data: bytes, field: str = "values") -> dict[str, object]:
    """Return what `values_to_bytes` wrote.

    Raises:
        RemoteProtocolError: `data` is not a MessagePack map with text keys; names `field`.
    """
    if not data:
        return {}
    try:
        values = ormsgpack.unpackb(data)
    except ValueError as error:
        msg = f"{field}: {len(data)} bytes are not a MessagePack map with text keys: {error}"
        raise RemoteProtocolError(msg) from None
    if not isinstance(values, dict):
        msg = f"{field}: expected a MessagePack map, not {type(values).__name__}"
        raise RemoteProtocolError(msg)
    return values
