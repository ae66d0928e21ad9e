"""Reads the text options that a plugin is configured with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def refuse_unknown(plugin: str, options: Mapping[str, str], known: Collection[str]) -> None:
    """Check that each option has a known name.

    Raises:
        ConfigError: names each unknown option, the nearest known one and all known ones.
    """
    listed = ", ".join(sorted(known))
    problems = [
        f'{plugin}: unknown option "{name}".{nearest(name, known)} Known: {listed}'
        for name in options
        if name not in known
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def required(plugin: str, options: Mapping[str, str], name: str, meaning: str) -> str:
    """Return an option that has no default.

    Raises:
        ConfigError: it is missing or empty.
    """
    value = options.get(name, "")
    if not value:
        msg = f'{plugin}: option "{name}" is missing; set it to {meaning}'
        raise ConfigError(msg)
    return value


def whole_number(
    plugin: str, options: Mapping[str, str], name: str, default: int, limits: tuple[int, int]
) -> int:
    """Return an option as a whole number within `limits`, both ends included.

    Raises:
        ConfigError: it is no such number.
    """
    text = options.get(name)
    if text is None:
        return default
    low, high = limits
    # isdecimal alone would take digits of other scripts.
    if text.isascii() and text.isdecimal() and low <= int(text) <= high:
        return int(text)
    msg = f'{plugin}: option "{name}" must be a whole number from {low} to {high}, not "{text}"'
    raise ConfigError(msg)


def seconds(
    plugin: str, options: Mapping[str, str], name: str, default: float, limits: tuple[float, float]
) -> float:
    """Return an option as seconds within `limits`, both ends included.

    Raises:
        ConfigError: it is no such number.
    """
    text = options.get(name)
    if text is None:
        return default
    low, high = limits
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    # A NaN fails this comparison too.
    if low <= value <= high:
        return value
    msg = f'{plugin}: option "{name}" must be seconds from {low:g} to {high:g}, not "{text}"'
    raise ConfigError(msg)
