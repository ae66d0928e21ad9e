"""Reads the fields of a JSON object one by one, with errors that name the field."""

from __future__ import annotations

import json
import reprlib
from math import isfinite
from typing import TYPE_CHECKING, cast

from heronshim.errors import RemoteProtocolError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

WHOLE_MAX = (1 << 53) - 1
"""Largest whole number that every JSON reader holds exactly."""
SHOWN_MAX = 80
"""Characters of a wrong name or value in a message."""
_reprs = reprlib.Repr()
_reprs.maxlevel = 2
_reprs.maxstring = _reprs.maxlong = SHOWN_MAX
_shown = _reprs.repr
"""As repr, but of deep and large values only a part: repr itself may recurse too deeply."""


def parse_json(text: str | bytes, path: str) -> object:
    """Return the value in a JSON text; `path` begins the message.

    Raises:
        RemoteProtocolError: it is no JSON, or nested too deeply.
    """
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        msg = f"{path} is no JSON: {error}"
        raise RemoteProtocolError(msg) from None


class JsonFields:
    """A JSON object whose fields are all known. Each reader raises RemoteProtocolError."""

    def __init__(self, value: object, path: str, known: Collection[str]) -> None:
        """Take what json.loads gave; `path` begins each message.

        Raises:
            RemoteProtocolError: it is no object, or has a field that is not `known`.
        """
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        for name in value:
            if name not in known:
                msg = f'{path}: unknown field "{name[:SHOWN_MAX]}".{nearest(name, known)}'
                raise RemoteProtocolError(msg)
        self._values: dict[str, object] = value
        self.path = path

    def has(self, name: str) -> bool:
        """Return whether the field is there and not null."""
        return self._values.get(name) is not None

    def value(self, name: str) -> object:
        """Return a field as it is."""
        if name not in self._values:
            msg = f'{self.path}: field "{name}" is missing'
            raise RemoteProtocolError(msg)
        return self._values[name]

    def text(self, name: str, *, empty: bool = False) -> str:
        """Return a text; an empty one only if `empty`."""
        value = self.value(name)
        if not isinstance(value, str) or not (value or empty):
            raise self._wrong(name, "text", value)
        return value

    def whole(self, name: str, low: int = 0, high: int = WHOLE_MAX) -> int:
        """Return a whole number within `low` and `high`, both included."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str) -> float:
        """Return a finite number, at least 0."""
        value = self.value(name)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fits or not 0 <= cast("float", value) < float("inf"):
            raise self._wrong(name, "a number from 0", value)
        return float(cast("float", value))

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def items(self, name: str) -> list[object]:
        """Return a list."""
        value = self.value(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        return value

    def wholes(self, name: str, low: int = 0) -> tuple[int, ...]:
        """Return a list of whole numbers, each at least `low`."""
        return tuple(_whole_item(item, f"{self.path}.{name}", low) for item in self.items(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(_text_item(item, f"{self.path}.{name}") for item in self.items(name))

    def text_map(self, name: str) -> dict[str, str]:
        """Return an object whose values are texts."""
        return _text_map(self.value(name), f"{self.path}.{name}")

    def number_map(self, name: str) -> dict[str, float]:
        """Return an object whose values are finite numbers."""
        value, path = self.value(name), f"{self.path}.{name}"
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: _number_item(item, f"{path}.{key[:SHOWN_MAX]}") for key, item in value.items()}

    def text_maps(self, name: str) -> dict[str, dict[str, str]]:
        """Return an object of objects whose values are texts."""
        value, path = self.value(name), f"{self.path}.{name}"
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: _text_map(item, f"{path}.{key[:SHOWN_MAX]}") for key, item in value.items()}

    def _wrong(self, name: str, expected: str, value: object) -> RemoteProtocolError:
        return _wrong(f"{self.path}.{name}", expected, value)


def _text_map(value: object, path: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    return {key: _text_item(item, f"{path}.{key[:SHOWN_MAX]}") for key, item in value.items()}


def _text_item(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "text", value)
    return value


def _number_item(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _wrong(path, "finite numbers", value)
    return float(value)


def _whole_item(value: object, path: str, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= WHOLE_MAX:
        raise _wrong(path, f"whole numbers from {low}", value)
    return value


def _wrong(path: str, expected: str, value: object) -> RemoteProtocolError:
    return RemoteProtocolError(f"{path}: expected {expected}, not {_shown(value)[:SHOWN_MAX]}")
