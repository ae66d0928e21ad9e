"""Structures of the interface file for tests: any that fit, and a small topology."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from thrift.Thrift import TType

from heronshim.storm.interface import Struct, ValueType, nimbus_interface
from heronshim.storm.thrift_codec import Structure

STRUCTS = nimbus_interface().structs
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
_INTEGERS = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}


def structures(struct: Struct) -> st.SearchStrategy[Structure]:
    """Structures with all that is required and some of the rest; unions with one field."""
    fields = {item.name: _values(item.type) for item in struct.fields.values()}
    if struct.kind in ("union", "result"):
        return st.one_of(
            *(st.fixed_dictionaries({name: each}) for name, each in fields.items()),
            *([] if struct.kind == "union" else [st.just({})]),
        )
    wanted = {item.name for item in struct.fields.values() if item.requirement == "required"}
    return st.fixed_dictionaries(
        {name: each for name, each in fields.items() if name in wanted},
        optional={name: each for name, each in fields.items() if name not in wanted},
    )


def _values(kind: ValueType) -> st.SearchStrategy[Any]:
    if kind.struct is not None:
        return structures(kind.struct)
    if kind.enum is not None:
        return st.sampled_from(list(kind.enum.members.values()))
    if kind.code == TType.MAP:
        keys, values = map(_values, kind.inner)
        if kind.inner[0].struct is not None:
            return st.lists(st.tuples(keys, values), max_size=2)
        return st.dictionaries(keys, values, max_size=2)
    if kind.code in (TType.LIST, TType.SET):
        return st.lists(_values(kind.inner[0]), max_size=2)
    if kind.code in _INTEGERS:
        bits = _INTEGERS[kind.code]
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    if kind.code == TType.STRING:
        return st.binary(max_size=5) if kind.is_binary else _TEXTS
    return st.booleans() if kind.code == TType.BOOL else st.floats(allow_nan=False)


def common(
    *inputs: tuple[str, str, Structure],
    fields: tuple[str, ...] = ("word",),
    hint: int | None = None,
    conf: str | None = None,
    **streams: Structure,
) -> Structure:
    """A ComponentCommon; an input is (component, stream, grouping)."""
    found: Structure = {
        "inputs": [
            ({"componentId": component, "streamId": stream}, grouping)
            for component, stream, grouping in inputs
        ],
        "streams": {"default": {"output_fields": list(fields), "direct": False}, **streams},
    }
    if hint is not None:
        found["parallelism_hint"] = hint
    if conf is not None:
        found["json_conf"] = conf
    return found


def storm_topology(
    spouts: dict[str, Structure] | None = None, bolts: dict[str, Structure] | None = None
) -> Structure:
    """A StormTopology of serialized objects; components are given by their ComponentCommon."""
    java = {"serialized_java": b"\xac\xed"}
    return {
        "spouts": {
            name: {"spout_object": java, "common": item}
            for name, item in (spouts or {"spout": common()}).items()
        },
        "bolts": {
            name: {"bolt_object": java, "common": item} for name, item in (bolts or {}).items()
        },
        "state_spouts": {},
    }
