"""The header is the contract of all languages: 24 bytes, little-endian, fixed kind numbers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind, frame_cost_bytes

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
I32 = st.integers(-(1 << 31), (1 << 31) - 1)


def test_header_bytes_are_these():
    header = HEADER.pack(1, Kind.DATA, 0x0203, 0x04050607, -2, 7, 0x1122334455667788)
    assert header.hex(" ") == (
        "01 07 03 02 07 06 05 04 fe ff ff ff 07 00 00 00 88 77 66 55 44 33 22 11"
    )
    assert HEADER.size == 24


@given(st.tuples(st.integers(0, 255), st.integers(0, 255), U16, U32, I32, I32, U64))
@settings(deadline=None)
def test_header_comes_back_as_it_was(fields):
    assert HEADER.unpack(HEADER.pack(*fields)) == fields


def test_kinds_keep_their_numbers():
    """Numbers are never reused: a changed line here is a break of the contract."""
    assert {kind.name: kind.value for kind in Kind} == {
        "HELLO": 1, "HELLO_ACK": 2, "ERROR": 3, "BYE": 4, "BYE_ACK": 5, "PLAN": 6, "DATA": 7,
        "OUTCOMES": 8, "CREDIT": 9, "CREDIT_REQUEST": 10, "HEARTBEAT": 11, "LOSS_NOTICE": 12,
        "LOSS_NOTICE_ACK": 13, "METRICS": 14, "LOAD_REPORT": 15, "BARRIER": 16,
        "BACK_PRESSURE": 17, "STMGR_REGISTER": 32, "STMGR_HEARTBEAT": 33, "COMMAND": 34,
        "COMMAND_REPLY": 35,
    }  # fmt: skip
    assert PROTOCOL_VERSION == 1


@pytest.mark.parametrize("size", [0, 23, 25])
def test_header_of_another_length_is_not_read(size):
    with pytest.raises(struct.error):
        HEADER.unpack(bytes(size))


@given(st.integers(0, 1 << 30))
@settings(deadline=None)
def test_cost_is_never_below_the_payload_or_a_kib(size):
    assert frame_cost_bytes(size) == max(size, 1024)
