"""Which values an author's configuration may hold: those that every language can read."""

from __future__ import annotations

from collections.abc import Mapping

VALUE_DEPTH_MAX = 64
"""Nesting of lists and maps: far above any configuration, far below MessagePack readers' limits."""
INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 64) - 1
"""MessagePack holds signed and unsigned 64-bit integers."""
EXPECTED = (
    "null, true or false, a 64-bit integer, a float, text, bytes, a list or a map with text keys"
)


def value_problems(values: object, where: str) -> list[str]:
    """Return one line for each value that MessagePack cannot hold, named by its path.

    `values` should be a mapping with text keys; `where` begins each line, for example
    `arguments` gives `arguments["rates"][2]: ...`. An empty list means all is well.
    """
    if not isinstance(values, Mapping):
        return [f"{where}: expected a map with text keys, not {_kind(values)}"]
    problems: list[str] = []
    _check(values, where, 0, problems)
    return problems


def _check(value: object, where: str, depth: int, problems: list[str]) -> None:
    """Append what is wrong with `value` and with all below it."""
    if depth > VALUE_DEPTH_MAX:
        problems.append(f"{where}: nested deeper than {VALUE_DEPTH_MAX} levels; flatten it")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_key(key, where, problems)
            _check(item, f'{where}["{_printable(str(key))}"]', depth + 1, problems)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]", depth + 1, problems)
    else:
        problem = _scalar_problem(value)
        if problem:
            problems.append(f"{where}: {problem}")


def _check_key(key: object, where: str, problems: list[str]) -> None:
    if type(key) is not str:
        problems.append(f"{where}: the key {key!r} is {_kind(key)}; write it as text")
    elif not _encodable(key):
        problems.append(f"{where}: the key {key!r} is not valid Unicode; mend its text")


def _scalar_problem(value: object) -> str:
    """Return what is wrong with a value that is neither list nor map, or an empty string."""
    if isinstance(value, int) and type(value) in (int, bool):
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return ""
        return f"the integer {_shortened(value)} does not fit into 64 bits; write it as text"
    if type(value) is str:
        return "" if _encodable(value) else "the text is not valid Unicode (a lone surrogate)"
    if value is None or type(value) in (float, bytes):
        return ""
    return f"{_kind(value)} cannot be stored; expected {EXPECTED}"


def _shortened(value: int) -> str:
    """Return an integer for people: in hexadecimal, since long decimals are refused by Python."""
    text = hex(value)
    return text if len(text) <= 24 else f"{text[:20]}... ({value.bit_length()} bits)"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
