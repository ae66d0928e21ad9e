"""Fields grouping's hash equals Java's, by vectors that a Java virtual machine wrote."""

from __future__ import annotations

import enum
import json
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.field_hash import (
    MEMO_LENGTH_MAX,
    VALUE_DEPTH_MAX,
    java_hash,
    task_index,
    value_hash,
)
from heronshim.errors import ValueEncodingError

VECTORS = Path(__file__).parents[2] / "vectors"
FIELDS = json.loads((VECTORS / "field_hash.json").read_text())["fields"]
NARROW = ("Integer", "Float")
"""Java classes that no Python value becomes: ints are Longs, floats are Doubles."""


def value_of(tagged: dict) -> object:
    kind = tagged["class"]
    if kind == "null":
        return None
    if kind in ("Integer", "Long", "BigInteger"):
        return int(tagged["value"])
    if kind == "Double":
        return struct.unpack(">d", bytes.fromhex(tagged["bits"]))[0]
    if kind == "Float":
        return struct.unpack(">f", bytes.fromhex(tagged["bits"]))[0]
    if kind == "String":
        return bytes.fromhex(tagged["utf16"]).decode("utf-16-be", "surrogatepass")
    if kind == "byte[]":
        return bytes.fromhex(tagged["value"])
    if kind == "List":
        return [value_of(item) for item in tagged["value"]]
    if kind == "Map":
        return {value_of(key): value_of(item) for key, item in tagged["value"]}
    assert kind == "Boolean"
    return tagged["value"]


def has_narrow(row: dict) -> bool:
    return any(value["class"] in NARROW for value in row["value"])


def test_vectors_cover_what_differs_between_languages() -> None:
    text = (VECTORS / "field_hash.json").read_text()
    for part in ('"Integer", "value": "-1"', '"Long", "value": "-1"', "BigInteger", "d83dde00"):
        assert part in text
    assert len(FIELDS) > 100


@pytest.mark.parametrize("vector", [v for v in FIELDS if not has_narrow(v["values"])])
def test_s11_hash_and_task_equal_javas(vector: dict) -> None:
    values = value_of(vector["values"])
    assert isinstance(values, list)
    assert java_hash(values) == vector["hash"]
    assert java_hash(tuple(values)) == vector["hash"]
    for count, index in vector["index"].items():
        assert task_index(values, int(count)) == index


def test_s11_an_integer_hashes_as_long_so_that_negative_ones_differ_from_javas_integer() -> None:
    compared = 0
    for vector in FIELDS:
        row = vector["values"]["value"]
        if len(row) == 1 and row[0]["class"] == "Integer":
            number = int(row[0]["value"])
            assert (java_hash([number]) == vector["hash"]) == (number >= 0)
            compared += 1
    assert compared == 5


def test_s11_equal_in_python_is_not_equal_in_java() -> None:
    """A memo by value alone would take 1, True and 1.0 for one key."""
    for _ in range(2):
        assert [value_hash(value) for value in (1, True, 1.0, False, 0, 0.0)] == [
            1,
            1231,
            1072693248,
            1237,
            0,
            0,
        ]
        assert value_hash(-0.0) == -(1 << 31)


def test_values_of_derived_types_hash_as_their_base() -> None:
    class Word(enum.StrEnum):
        THE = "the"

    class Level(enum.IntEnum):
        LOW = -7

    assert value_hash(Word.THE) == value_hash("the")
    assert value_hash(Level.LOW) == value_hash(-7)
    assert value_hash(bytearray(b"the")) == value_hash(memoryview(b"the")) == value_hash(b"the")


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, [{"a": [object()]}]])
def test_a_value_without_java_counterpart_is_refused_by_type(value: object) -> None:
    with pytest.raises(ValueEncodingError, match=r"a value of type .* cannot be grouped by"):
        java_hash([value])


def test_deep_nesting_is_refused_and_the_limit_itself_is_not() -> None:
    value: list = []
    for _ in range(VALUE_DEPTH_MAX - 1):
        value = [value]
    value_hash(value)
    with pytest.raises(ValueEncodingError, match="deeper than 128"):
        value_hash([value])


@given(st.text(max_size=40), st.integers(0, 3))
def test_text_hash_equals_the_definition(text: str, times: int) -> None:
    text *= 1 + times * MEMO_LENGTH_MAX
    expected = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for position in range(0, len(encoded), 2):
        expected = 31 * expected + int.from_bytes(encoded[position : position + 2])
    assert value_hash(text) % (1 << 32) == expected % (1 << 32)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(st.lists(nested, max_size=4), st.integers(1, 50))
def test_any_writable_values_have_an_int32_and_a_task(values: list, count: int) -> None:
    number = java_hash(values)
    assert -(1 << 31) <= number < 1 << 31
    assert task_index(values, count) == number % count
    assert java_hash(values) == number


@given(st.lists(scalars, max_size=4))
def test_a_list_hashes_like_the_fields_themselves(values: list) -> None:
    """Java: a List's hashCode and Arrays.deepHashCode agree on scalars."""
    assert value_hash(values) == java_hash(values)


@pytest.mark.slow
def test_vectors_are_what_java_writes() -> None:
    command = ["java", str(VECTORS / "FieldHashVectors.java")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110)
    assert output.stdout == (VECTORS / "field_hash.json").read_text()
