"""Fields grouping's hash: Storm's choice of task, the same in every language.

Storm 2.x (TupleUtils.chooseTaskIndex) takes floorMod(Arrays.deepHashCode(selected values), tasks).
Here values hash as the Java values that they are in a Java instance:

    None -> 0                       bool -> Boolean             int -> Long (see below)
    float -> Double                 str -> String, over its UTF-16 code units
    bytes, bytearray, memoryview -> Arrays.hashCode(byte[])
    list, tuple -> List             mappings -> Map (sum of key ^ value)

An integer outside of int64 (uint64 values come from MessagePack) hashes as java.math.BigInteger.
Bytes inside a list or map hash by content too: in Java an array there hashes by identity, so that
Storm sends equal values to random tasks; nothing can depend on that.

The rules are pinned by tests/vectors/field_hash.json, which a Java virtual machine wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from heronshim.errors import ValueEncodingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MEMO_ENTRIES_MAX = 65_536
"""Values that one memo holds: above any vocabulary in use, about 10 MB when full of words."""
MEMO_LENGTH_MAX = 256
"""Longer texts and bytes are not memoized, so that a memo's size stays bounded in bytes too."""
VALUE_DEPTH_MAX = 128
"""Nesting of lists and maps in one value: far above use, far below Python's recursion limit."""
_MASK = 0xFFFFFFFF
_SIGN = 0x80000000
_INT64_MIN = -(1 << 63)
_INT64_MAX = (1 << 63) - 1
_DOUBLE = struct.Struct("<d")
_NAN_BITS = 0x7FF8 << 48
"""Double.doubleToLongBits gives one pattern for all NaNs."""


def may_be_kept(memo: dict[str, Any], key: object) -> bool:
    """Return whether a key may be kept, and make room: a short text (1 and True are equal)."""
    if type(key) is not str or len(key) > MEMO_LENGTH_MAX:
        return False
    if len(memo) >= MEMO_ENTRIES_MAX:
        memo.clear()
    return True


def java_hash(values: Iterable[object]) -> int:
    """Return Arrays.deepHashCode of `values`, an int32.

    Raises:
        ValueEncodingError: a value has no Java counterpart or is nested too deeply.
    """
    result = 1
    for value in values:
        result = 31 * result + _element(value, 0)
    return _signed(result)


def value_hash(value: object) -> int:
    """Return hashCode of one value (Arrays.hashCode for bytes), an int32.

    Raises:
        ValueEncodingError: it has no Java counterpart or is nested too deeply.
    """
    return _signed(_element(value, 0))


def task_index(values: Iterable[object], task_count: int) -> int:
    """Return the position, from 0, among ascending task ids of the task for these values.

    Raises:
        ValueEncodingError: a value has no Java counterpart or is nested too deeply.
    """
    return java_hash(values) % task_count


def bytes_hash(data: bytes | bytearray) -> int:
    """Return Arrays.hashCode of Java's signed bytes, an int32."""
    result = 1
    for octet in data:
        result = (31 * result + (octet if octet < 128 else octet - 256)) & _MASK
    return _signed(result)


def _signed(number: int) -> int:
    """Return the low 32 bits as a signed number."""
    number &= _MASK
    return number - (1 << 32) if number & _SIGN else number


def _element(value: object, depth: int) -> int:
    """Return a hash whose low 32 bits count."""
    hasher = _BY_EXACT_TYPE.get(type(value))
    if hasher is not None:
        return hasher(value)
    return _nested(value, depth)


def _nested(value: object, depth: int) -> int:
    """Return the hash of a list, a map, or a value of a derived type."""
    if depth >= VALUE_DEPTH_MAX:
        msg = f"a value nested deeper than {VALUE_DEPTH_MAX} levels cannot be grouped by"
        raise ValueEncodingError(msg)
    if isinstance(value, (list, tuple)):
        return _sequence(value, depth + 1)
    if isinstance(value, Mapping):
        total = 0
        for key, item in value.items():
            total += _signed(_element(key, depth + 1)) ^ _signed(_element(item, depth + 1))
        return total
    for base, hasher in _BY_BASE:
        if isinstance(value, base):
            return hasher(value)
    msg = (
        f"a value of type {type(value).__name__} cannot be grouped by; expected null, true or "
        "false, a number, text, bytes, a list or a map"
    )
    raise ValueEncodingError(msg)


def _sequence(values: Sequence[object], depth: int) -> int:
    """Return List.hashCode."""
    result = 1
    for value in values:
        result = (31 * result + _element(value, depth)) & _MASK
    return result


def _text(text: str) -> int:
    return _short_text(text) if len(text) <= MEMO_LENGTH_MAX else _text_hash(text)


def _octets(data: bytes) -> int:
    return _short_octets(data) if len(data) <= MEMO_LENGTH_MAX else bytes_hash(data)


def _text_hash(text: str) -> int:
    """Return String.hashCode; a lone surrogate counts as its one code unit."""
    units: Iterable[int]
    if text.isascii():
        units = text.encode()
    else:
        encoded = text.encode("utf-16-le", "surrogatepass")
        units = struct.unpack(f"<{len(encoded) // 2}H", encoded)
    result = 0
    for unit in units:
        result = (31 * result + unit) & _MASK
    return result


def _integer_hash(number: int) -> int:
    """Return Long.hashCode, or BigInteger.hashCode outside of int64."""
    if _INT64_MIN <= number <= _INT64_MAX:
        return (number ^ (number >> 32)) & _MASK
    magnitude = abs(number)
    result = 0
    for shift in range((magnitude.bit_length() - 1) // 32 * 32, -1, -32):
        result = (31 * result + ((magnitude >> shift) & _MASK)) & _MASK
    return result if number > 0 else -result


def _float_hash(number: float) -> int:
    """Return Double.hashCode."""
    bits = _NAN_BITS if number != number else int.from_bytes(_DOUBLE.pack(number), "little")  # noqa: PLR0124
    return bits ^ (bits >> 32)


_short_text: Callable[[str], int] = lru_cache(MEMO_ENTRIES_MAX)(_text_hash)
_short_octets: Callable[[bytes], int] = lru_cache(MEMO_ENTRIES_MAX)(bytes_hash)

# A memo is kept for each exact type, never one for all: a dict takes 1, True and 1.0 for one key.
_BY_EXACT_TYPE: dict[type, Callable[..., int]] = {
    str: _text,
    int: _integer_hash,
    bytes: _octets,
    type(None): lambda _: 0,
    bool: lambda value: 1231 if value else 1237,
    float: _float_hash,
}
# Derived types (enums of text or numbers among them) may compare in their own way: no memo.
_BY_BASE: tuple[tuple[type, Callable[..., int]], ...] = (
    (str, _text_hash),
    (int, _integer_hash),
    (float, _float_hash),
    (bytes, bytes_hash),
    (bytearray, bytes_hash),
    (memoryview, lambda value: bytes_hash(bytes(value))),
)
