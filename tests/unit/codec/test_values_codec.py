"""Configuration values as MessagePack maps."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.codec.values import values_from_bytes, values_to_bytes
from heronshim.core.plan.plain_values import VALUE_DEPTH_MAX, value_problems
from heronshim.errors import ConfigError, RemoteProtocolError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)
maps = st.dictionaries(st.text(), nested, max_size=5)


def typed(value: object) -> object:
    """Return a value with its types, so that 1, True and 1.0 differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), repr(value)


@given(maps)
def test_values_come_back_with_their_types(values: dict[str, object]) -> None:
    assert typed(values_from_bytes(values_to_bytes(values))) == typed(values)
    assert value_problems(values, "x") == []


def test_an_empty_map_is_no_bytes_and_tuples_become_lists() -> None:
    assert values_to_bytes({}) == b""
    assert values_from_bytes(b"") == {}
    assert values_from_bytes(values_to_bytes({"a": (1, (2,))})) == {"a": [1, [2]]}
    frozen = MappingProxyType({"a": MappingProxyType({"b": 1})})
    assert values_from_bytes(values_to_bytes(frozen)) == {"a": {"b": 1}}
    assert math.isnan(values_from_bytes(values_to_bytes({"a": math.nan}))["a"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"a": {1, 2}}, 'arguments["a"]: a set cannot be stored; expected null, true or false,'),
        ({"a": [0, object()]}, 'arguments["a"][1]: an object cannot be stored'),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, 'arguments["a"]: a datetime cannot be stored'),
        ({"a": 1 << 64}, 'arguments["a"]: the integer 0x10000000000000000 does not fit into 64'),
        ({"a": -(1 << 63) - 1}, 'arguments["a"]: the integer -0x8000000000000001 does not fit'),
        ({"a": 1 << 40000}, "... (40001 bits) does not fit into 64 bits; write it as text"),
        ({"a": {2: 3}}, 'arguments["a"]: the key 2 is an int; write it as text'),
        ({None: 3}, "arguments: the key None is a NoneType; write it as text"),
        ({"\ud800": 3}, "arguments: the key '\\ud800' is not valid Unicode; mend its text"),
        ({"a": "\udfff"}, 'arguments["a"]: the text is not valid Unicode (a lone surrogate)'),
    ],
)
def test_what_messagepack_cannot_hold_is_refused_by_its_path(values, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values_to_bytes(values, "arguments")
    assert any(text in str(caught.value) for text in expected.split("|"))


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        values_to_bytes({"a": {1}, "b": [{2}, {3}]}, "config")
    starts = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert starts == ['config["a"]', 'config["b"][0]', 'config["b"][1]']


def test_nesting_is_limited_even_where_it_never_ends() -> None:
    value: object = 1
    for _ in range(VALUE_DEPTH_MAX - 1):
        value = [value]
    values = {"a": value}
    assert values_from_bytes(values_to_bytes(values)) == values
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="nested deeper than 64 levels; flatten it"):
        values_to_bytes({"a": endless})


@pytest.mark.parametrize(
    "data", [b"\x81", b"\xc1", b"\x80\x00", b"\xff\xff\xff", b"\x81\xa1\xff\x01"]
)
def test_damaged_bytes_are_refused_by_field(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"options: .* MessagePack map"):
        values_from_bytes(data, "options")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x91\x01", "text keys: Expected `object`, got `array`"),
        (b"\x81\x01\x02", "options: 3 bytes are not a MessagePack map with text keys"),
        (b"\x81\xa1a\x81\x01\x02", 'options["a"]: the key 1 is an int'),
        (b"\x81\xa1a\xd4\x05\x00", 'options["a"]: an Ext cannot be stored'),
        # The decoder's own limit of depth follows how deep its caller's stack is.
        (b"\x81\xa1a" + b"\x91" * 5000 + b"\x01", "are not a MessagePack map|nested deeper than"),
        (b"\x81\xa1a" + b"\x91" * 100 + b"\x01", "nested deeper than 64 levels"),
    ],
)
def test_what_is_no_map_of_values_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        values_from_bytes(data, "options")
    assert any(text in str(caught.value) for text in expected.split("|"))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        values = values_from_bytes(data)
    except RemoteProtocolError:
        return
    assert isinstance(values, dict)
    assert all(isinstance(key, str) for key in values)
