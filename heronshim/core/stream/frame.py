"""The fixed header before each payload: what a stream manager reads, and all that it reads.

A frame on a link is two ZeroMQ parts: this header and the payload (a protobuf message of
`heronshim.wire.v1`, named beside each kind). Little-endian, 24 bytes:

    u8 version | u8 kind | u16 flags | u32 plan_epoch | i32 destination task | i32 source task |
    u64 sequence (per link and direction, from 1; 0 only in Hello)
"""

from __future__ import annotations

import struct
from enum import IntEnum

PROTOCOL_VERSION = 1
HEADER = struct.Struct("<BBHIiiQ")
FRAME_COST_MIN_BYTES = 1024
"""A frame costs at least this much credit, so that small frames cannot fill a ZeroMQ queue."""
FRAME_BYTES_MAX = 64 << 20
"""Largest payload of one frame: room for one 32 MB batch and its columns."""
CONTROL_BYTES_MAX = 1 << 20
"""Largest payload of a control frame (all but PLAN, DATA, OUTCOMES, METRICS and COMMAND_REPLY):
100,000 tasks take half of it. Read, 1 MiB of small numbers takes 50 MB (measured)."""
METRICS_BYTES_MAX = 4 << 20
"""Largest payload of a METRICS frame: a process of 1,000 tasks with 60 values each takes half."""


class Kind(IntEnum):
    """Frame kinds; the payload's message in brackets."""

    HELLO = 1  # Hello
    HELLO_ACK = 2  # HelloAck
    ERROR = 3  # Error
    BYE = 4  # Bye
    BYE_ACK = 5  # ByeAck
    PLAN = 6  # PhysicalPlan
    DATA = 7  # DataBatch
    OUTCOMES = 8  # Outcomes
    CREDIT = 9  # Credit
    CREDIT_REQUEST = 10  # CreditRequest
    HEARTBEAT = 11  # LinkHeartbeat
    LOSS_NOTICE = 12  # LossNotice
    LOSS_NOTICE_ACK = 13  # LossNoticeAck
    METRICS = 14  # MetricsReport
    LOAD_REPORT = 15  # LoadReport
    BARRIER = 16  # Barrier
    BACK_PRESSURE = 17  # BackPressure
    STMGR_REGISTER = 32  # StmgrRegister
    STMGR_HEARTBEAT = 33  # StmgrHeartbeat
    COMMAND = 34  # Command
    COMMAND_REPLY = 35  # CommandReply


TUPLE_KINDS = frozenset((Kind.DATA, Kind.OUTCOMES, Kind.BARRIER))
"""Frames that take tuples, or what became of tuples, with them when they are lost."""


def frame_cost_bytes(payload_bytes: int) -> int:
    """Credit that a data frame spends: its payload's bytes, at least FRAME_COST_MIN_BYTES."""
    return max(payload_bytes, FRAME_COST_MIN_BYTES)
