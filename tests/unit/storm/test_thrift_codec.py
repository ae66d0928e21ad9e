"""Thrift messages: what is written comes back, and damage is an error that names the field."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrift.Thrift import TApplicationException, TType

from heronshim.errors import LocalProtocolError, RemoteProtocolError
from heronshim.storm.interface import Struct, nimbus_interface, parse_interface
from heronshim.storm.thrift_codec import (
    DEPTH_MAX,
    call_to_bytes,
    failure_to_bytes,
    read_arguments,
    read_call,
    read_reply,
    result_to_bytes,
    struct_from_bytes,
    struct_to_bytes,
)
from tests.unit.storm.structures import STRUCTS, common, storm_topology, structures

INTERFACE = nimbus_interface()
SUBMIT = INTERFACE.methods["submitTopology"]
CALL = call_to_bytes(
    SUBMIT,
    {
        "name": "words",
        "uploadedJarLocation": "there",
        "jsonConf": '{"topology.workers":2}',
        "topology": storm_topology(
            {"spout": common(hint=2, conf="{}")},
            {"count": common(("spout", "default", {"fields": ["word"]}))},
        ),
    },
    7,
)
ALL = [*STRUCTS.values()]
for _method in INTERFACE.methods.values():
    ALL += [_method.arguments, _method.result]
NUMBER, TEXT, INNER = STRUCTS["KillOptions"], STRUCTS["NotAliveException"], STRUCTS["SubmitOptions"]
STOP = b"\0"


def field(code: int, number: int, value: bytes = b"") -> bytes:
    return struct.pack(">bh", code, number) + value


def text(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_structure_comes_back(kind: Struct) -> None:
    @given(structures(kind))
    def check(value: dict[str, Any]) -> None:
        assert struct_from_bytes(struct_to_bytes(value, kind), kind, kind.name) == value

    check()


def test_a_call_comes_back() -> None:
    call = read_call(CALL)
    assert (call.method, call.sequence, call.one_way) == ("submitTopology", 7, False)
    assert read_arguments(call, SUBMIT)["topology"]["bolts"]["count"]["common"]["inputs"] == [
        ({"componentId": "spout", "streamId": "default"}, {"fields": ["word"]})
    ]


def test_answers_are_read_as_clients_do() -> None:
    call = read_call(call_to_bytes(INTERFACE.methods["isTopologyNameAllowed"], {"name": "a"}, 3))
    method = INTERFACE.methods[call.method]
    answer = result_to_bytes(call, method, {"success": True})
    assert read_reply(answer, INTERFACE) == {"success": True}
    denied = result_to_bytes(call, method, {"denied": {"msg": "no"}})
    assert read_reply(denied, INTERFACE) == {"denied": {"msg": "no"}}
    with pytest.raises(TApplicationException, match="broken"):
        read_reply(
            failure_to_bytes("x", 3, TApplicationException.INTERNAL_ERROR, "broken"), INTERFACE
        )


@pytest.mark.parametrize("length", range(len(CALL)))
def test_a_message_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"ends inside it|{length}"):
        read_arguments(read_call(CALL[:length]), SUBMIT)


@given(st.data())
def test_changed_bytes_are_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(CALL)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(CALL) - 1))] = data.draw(st.integers(0, 255))
    try:
        call = read_call(bytes(changed))
        method = INTERFACE.methods.get(call.method, SUBMIT)
        found = read_arguments(call, method)
    except RemoteProtocolError:
        return
    assert read_arguments(read_call(call_to_bytes(method, found)), method) == found


@given(st.binary(max_size=200), st.sampled_from(ALL))
def test_any_bytes_are_read_or_refused(data: bytes, kind: Struct) -> None:
    with suppress(RemoteProtocolError):
        struct_from_bytes(data, kind, "x")


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (TEXT, STOP, "x.msg is missing"),
        (TEXT, field(TType.I32, 1, bytes(4)) + STOP, "x.msg: it is of Thrift type 8; expected st"),
        (TEXT, field(TType.STRING, 1, text(b"\xff")) + STOP, "x.msg: byte 0 of the text is not UT"),
        (TEXT, field(TType.STRING, 1, b"\xff" * 4) + STOP, "x.msg: Negative length"),
        (TEXT, field(TType.STRING, 1, b"\x7f" * 4) + STOP, "x.msg: Length exceeded"),
        (NUMBER, STOP + b"ab", "x: 2 bytes follow its end"),
        (NUMBER, field(5, 9), "x.9: there is no Thrift type 5"),
        (NUMBER, field(TType.STRING, 9, b"\xff" * 4), "x.9: its length is -1"),
        (NUMBER, field(TType.LIST, 9, b"\x0a\x7f\xff\xff\xff"), "x.9: Length exceeded"),
        (NUMBER, field(TType.LIST, 9, b"\x0a\xff\xff\xff\xff"), "x.9: Negative length"),
        (
            NUMBER,
            field(TType.MAP, 9, b"\x08\x08\x00\x00\x00\x09" + bytes(60)),
            "x.9: the message e",
        ),
        (
            INNER,
            field(TType.I32, 1, b"\0\0\0\x09") + STOP,
            "x.initial_status: 9 is no TopologyInit",
        ),
        (STRUCTS["Grouping"], STOP, "x: it has 0 of fields, shuffle"),
        (
            STRUCTS["StreamInfo"],
            field(TType.LIST, 1, b"\x08\0\0\0\1") + bytes(4),
            "x.output_fields: it holds Thrift type 8; expected string",
        ),
    ],
)
def test_each_damage_is_named(kind: Struct, data: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        struct_from_bytes(data, kind, "x")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "deep",
    [
        field(TType.STRUCT, 9) * 300_000,
        field(TType.LIST, 9) + b"\x0f\0\0\0\1" * 200_000,
        field(TType.MAP, 9) + b"\x0d\x0d\0\0\0\1" * 170_000,
    ],
)
def test_depth_is_bounded(deep: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=f"more than {DEPTH_MAX} structures"):
        struct_from_bytes(deep, NUMBER, "x")


def test_unknown_fields_are_passed_over() -> None:
    unknown = (
        field(TType.MAP, 90, b"\x0b\x0c\0\0\0\1" + text(b"k") + field(TType.BOOL, 1, b"\1") + STOP)
        + field(TType.SET, 91, b"\x0a\0\0\0\2" + bytes(16))
        + field(TType.STRING, 92, text(b"\xff\xfe"))
        + field(TType.DOUBLE, 93, bytes(8))
    )
    known = field(TType.I32, 1, b"\0\0\0\5")
    assert struct_from_bytes(unknown + known + STOP, NUMBER, "x") == {"wait_secs": 5}


def test_the_old_protocol_and_answers_are_no_calls() -> None:
    for frame in (b"GET / HTTP/1.1\r\n\r\n", b"\x82\x21\x01\x03abc", text(b"getLeader") + bytes(6)):
        with pytest.raises(RemoteProtocolError):
            read_call(frame)
    with pytest.raises(RemoteProtocolError, match="expected a call"):
        read_call(failure_to_bytes("getLeader", 1, 6, ""))


def test_what_is_missing_is_not_written() -> None:
    with pytest.raises(LocalProtocolError, match=r"NotAliveException\.msg is missing"):
        struct_to_bytes({}, TEXT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("structure A {}", "line 1: unknown word 'structure'"),
        ("struct A {\n 1: float b }", "line 2: unknown type 'float'"),
        ("struct A { 1 i32 b }", "line 1: expected ':', not 'i32'"),
        ("struct A { 1: i32 b; }", "line 1: unknown character"),
    ],
)
def test_a_wrong_interface_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_interface(text)
