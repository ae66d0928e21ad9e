"""Vectors of frames: header and payload of each kind, and the columns of outcomes."""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b64encode
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from messagepack import integer, long, mapping, pack, sequence, text
from tree_vectors import ACK, FAIL, RESET, root, word

from heronshim.wire.v1 import data_pb2, link_pb2, master_pb2, metrics_pb2, plan_pb2

TOPOLOGY = "words-1700000000"
SECRET = bytes(range(32))
"""Of the topology in all vectors."""
METRICSMGR = -2
_EDGES = (0x0123456789ABCDEF, 0xFEDCBA9876543210)
_ROOTS = (root(1, 0xABCDEF, 0), root(1, 0x000001, 5))


def token(process: str, incarnation: int, topology: str = TOPOLOGY) -> str:
    """Return Hello.token by the rule of the page."""
    message = f"{topology}\0{process}\0{incarnation}".encode()
    return hmac.new(SECRET, message, hashlib.sha256).hexdigest()


def header(
    kind: int,
    sequence_number: int,
    destination: int = 0,
    source: int = 0,
    plan_epoch: int = 0,
    version: int = 1,
) -> bytes:
    """Return a header's 24 bytes."""
    return struct.pack(
        "<BBHIiiQ", version, kind, 0, plan_epoch, destination, source, sequence_number
    )


def column(*numbers: int) -> bytes:
    """Return a little-endian uint64 column."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def hello_fields(**other: Any) -> dict[str, Any]:
    """Return a good hello of the process count-3."""
    fields = {
        "protocol_version": 1, "topology_id": TOPOLOGY, "role": "ROLE_INSTANCE",
        "process": "count-3", "tasks": [3], "incarnation": "17", "attempt": 1,
        "token": token("count-3", 17), "pid": 4242, "container": 1,
    }  # fmt: skip
    return fields | other


def message(kind: type[Message], fields: dict[str, Any]) -> bytes:
    """Return the bytes of a message given as protobuf's JSON; `bytes` fields may be bytes."""
    made = kind()
    plain = {name: value for name, value in fields.items() if not isinstance(value, bytes)}
    ParseDict(plain, made)
    for name, value in fields.items():
        if isinstance(value, bytes):
            setattr(made, name, value)
    return made.SerializeToString(deterministic=True)


def frames() -> dict[str, Any]:
    """Return frames.json."""
    return {
        "about": (
            "A frame is a header of 24 bytes and a payload, two ZeroMQ parts. `fields` are the "
            "message's as protobuf's JSON writes them, `bytes` fields as hex here. An encoder may "
            "order fields otherwise; what is read must be equal. The token belongs to `secret`."
        ),
        "secret": SECRET.hex(),
        "frames": [_frame(*case) for case in _cases()],
    }


def _frame(
    number: int,
    name: str,
    kind: type[Message],
    fields: dict[str, Any],
    where: dict[str, int],
) -> dict[str, Any]:
    decoded = {"version": 1, "kind": number, "flags": 0, "plan_epoch": 0} | where
    head = header(
        number, where["sequence"], where["destination"], where["source"],
        decoded["plan_epoch"],
    )  # fmt: skip
    shown = {
        key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()
    }
    return {
        "name": name, "header": head.hex(), "decoded": decoded,
        "message": kind.DESCRIPTOR.name, "fields": shown, "payload": message(kind, fields).hex(),
    }  # fmt: skip


def _at(
    sequence_number: int, destination: int = 0, source: int = 0, **other: int
) -> dict[str, int]:
    return {"sequence": sequence_number, "destination": destination, "source": source, **other}


def _cases() -> list[tuple[int, str, type[Message], dict[str, Any], dict[str, int]]]:
    return [
        (1, "HELLO", link_pb2.Hello, hello_fields(), _at(0)),
        (2, "HELLO_ACK", link_pb2.HelloAck, {
            "protocol_version": 1, "frame_bytes_max": "67108864", "heartbeat_ms": 200}, _at(1)),
        (3, "ERROR", link_pb2.Error, {
            "code": "ERROR_CODE_TOKEN", "message": 'the token is not that of "count-3"',
            "retryable": False}, _at(1)),
        (4, "BYE", link_pb2.Bye, {
            "last_sequence": "41", "reason": "stopped", "last_received": "8"}, _at(42)),
        (5, "BYE_ACK", link_pb2.ByeAck, {"last_sequence": "42"}, _at(9)),
        (6, "PLAN", plan_pb2.PhysicalPlan, _plan(), _at(2)),
        (7, "DATA: tracked, one pair a row", data_pb2.DataBatch, _batch(
            roots=column(*_ROOTS), edges=column(*_EDGES)), _at(5, 3, 1)),
        (7, "DATA: not tracked", data_pb2.DataBatch, _batch(), _at(6, 3, 1, plan_epoch=4)),
        (7, "DATA: two pairs, then none", data_pb2.DataBatch, _batch(
            root_counts=[2, 0], roots=column(*_ROOTS), edges=column(*_EDGES)), _at(7, 3, 1)),
        (7, "DATA: 300 pairs, then none", data_pb2.DataBatch, _batch(
            root_counts=[300, 0], roots=column(*range(1 << 48, (1 << 48) + 300)),
            edges=column(*range(1, 301))), _at(8, 3, 1)),
        (7, "DATA: with extras of one row", data_pb2.DataBatch, _batch(
            meta=[{"row": 1, "weight": 20.0, "trace": "AQI="}]), _at(9, 3, 1)),
        (8, "OUTCOMES", data_pb2.Outcomes, {
            "roots": column(*_ROOTS), "xors": column(*_EDGES), "distinct": True}, _at(8, 1, 3)),
        (9, "CREDIT", link_pb2.Credit, {"tasks": [3, 4], "bytes": ["262144", "1"]}, _at(3)),
        (10, "CREDIT_REQUEST", link_pb2.CreditRequest, {"tasks": [3], "bytes": ["1024"]}, _at(2)),
        (11, "HEARTBEAT", link_pb2.LinkHeartbeat, {"last_sequence": "2"}, _at(3)),
        (12, "LOSS_NOTICE", link_pb2.LossNotice, {
            "id": "1-17-1", "sources": [1], "destinations": [3], "cause": "gap"}, _at(4)),
        (13, "LOSS_NOTICE_ACK", link_pb2.LossNoticeAck, {"id": "1-17-1"}, _at(5)),
        (14, "METRICS", metrics_pb2.MetricsReport, _report(), _at(10, METRICSMGR, 3)),
        (15, "LOAD_REPORT", link_pb2.LoadReport, {
            "task": 3, "queue_bytes": "2048", "drain_rate": "1000000"}, _at(11)),
        (16, "BARRIER", link_pb2.Barrier, {"checkpoint": "12", "recovery_epoch": 0}, _at(12, 3, 1)),
        (17, "BACK_PRESSURE", link_pb2.BackPressure, {
            "task": 3, "active": True, "duration_ms": "1500"}, _at(13)),
        (32, "STMGR_REGISTER", master_pb2.StmgrRegister, {
            "container": 1, "host": "host-a", "peer_endpoint": "ipc:///run/heronshim/ab12cd34",
            "pid": 4241, "incarnation": "16", "plan_epoch": 0, "leader_epoch": "0"}, _at(1)),
        (33, "STMGR_HEARTBEAT", master_pb2.StmgrHeartbeat, {
            "container": 1, "plan_epoch": 4, "joined_tasks": [1, 3],
            "connected_containers": [2]}, _at(2)),
        (34, "COMMAND", master_pb2.Command, {
            "request_id": "r-1", "kind": "COMMAND_KIND_RESTART", "container": -1,
            "component": ""}, _at(1)),
        (35, "COMMAND_REPLY", master_pb2.CommandReply, {
            "request_id": "r-1", "ok": False, "message": "not yet", "code": 12}, _at(2)),
    ]  # fmt: skip


def _batch(**columns: Any) -> dict[str, Any]:
    rows = pack(sequence(sequence(text("heron"), long(1)), sequence(text("鷺"), long(-1))))
    return {
        "component": "split", "stream": "default", "row_count": 2, "rows": rows, **columns,
    }  # fmt: skip


def _plan() -> dict[str, Any]:
    fields = {"kind": "GROUPING_KIND_FIELDS", "fields": ["word"]}
    process = {
        "id": "count-3", "component": "count", "executors": [{"tasks": [3]}],
        "required": {"cpu": 1.0, "ram_bytes": "1073741824", "disk_bytes": "0"},
    }  # fmt: skip
    lines = process | {"id": "words-1", "component": "words", "executors": [{"tasks": [1]}]}
    topology = {
        "name": "words", "id": TOPOLOGY, "dialect": "DIALECT_HERONSHIM",
        "components": [
            {"id": "count", "kind": "COMPONENT_KIND_BOLT", "language": "LANGUAGE_CPP",
             "object": "Count", "parallelism": 1, "tasks": 1, "options": _map("tick_interval_s", 1),
             "inputs": [{"component": "words", "stream": "default", "grouping": fields}]},
            {"id": "words", "kind": "COMPONENT_KIND_SPOUT", "language": "LANGUAGE_PYTHON",
             "object": "app:Words", "parallelism": 1, "tasks": 1,
             "outputs": [{"id": "default", "fields": ["word"]}]},
        ],
    }  # fmt: skip
    return {
        "plan_epoch": 4, "leader_epoch": "2", "topology": topology,
        "state": "TOPOLOGY_STATE_ACTIVE",
        "containers": [
            {"id": 1, "host": "host-a", "peer_endpoint": "ipc:///run/heronshim/ab12cd34",
             "stmgr_pid": 4241, "stmgr_incarnation": "16", "processes": [process, lines]}
        ],
    }  # fmt: skip


def _map(key: str, value: int) -> str:
    """Return a MessagePack map as protobuf's JSON shows bytes."""
    return b64encode(pack(mapping((text(key), integer(value))))).decode()


def _report() -> dict[str, Any]:
    values = [
        {"name": "execute_count/words/default", "value": 500.0, "merge": "MERGE_SUM"},
        {"name": "queue_bytes", "value": 0.0, "merge": "MERGE_LAST"},
    ]
    histogram = {"name": "execute_latency_us", "buckets": [4, 9], "counts": ["499", "1"]}
    return {
        "process": "count-3", "container": 1, "time_ms": "1700000001000", "interval_ms": 1000,
        "incarnation": "17", "pid": 4242,
        "tasks": [{"task": 3, "component": "count", "values": values, "histograms": [histogram]}],
        "values": [{"name": "cpu_time_us", "value": 2500.0, "merge": "MERGE_SUM"}],
    }  # fmt: skip


def outcomes() -> dict[str, Any]:
    """Return outcomes.json."""
    return {
        "about": (
            "frames: payloads of Outcomes and their entries [kind 0 ack | 1 fail | 2 reset-timeout,"
            " root, XOR]. combining: what a bolt did between two flushes, in order, and frames that"
            " say it [spout task, entries]. Another division into frames is right too if each root"
            " keeps its order of acks before fails and no two acks that cancel share a frame."
        ),
        "frames": [_outcomes(*case) for case in _outcome_cases()],
        "combining": [_combining(*case) for case in _combining_cases()],
    }


def _outcomes(name: str, entries: list[tuple[int, int, int]], distinct: bool) -> dict[str, Any]:
    kinds = bytes(kind for kind, _, _ in entries)
    fields = {
        "kinds": kinds if any(kinds) else b"",
        "roots": column(*[tree for _, tree, _ in entries]),
        "xors": column(*[change for _, _, change in entries]),
        "distinct": distinct,
    }
    return {
        "name": name, "entries": _shown(entries), "distinct": distinct,
        "payload": message(data_pb2.Outcomes, fields).hex(),
    }  # fmt: skip


def _shown(entries: list[tuple[int, int, int]]) -> list[list[Any]]:
    return [[kind, word(tree), word(change)] for kind, tree, change in entries]


def _outcome_cases() -> list[tuple[str, list[tuple[int, int, int]], bool]]:
    (one, two), (a, b) = _ROOTS, _EDGES
    return [
        ("nothing", [], False),
        ("one ack", [(ACK, one, a)], True),
        ("acks of two roots: no kinds column", [(ACK, one, a), (ACK, two, b)], True),
        ("acks of one root", [(ACK, one, a), (ACK, one, b)], False),
        ("fail", [(FAIL, one, 0)], True),
        ("reset-timeout", [(RESET, two, 0)], True),
        ("an ack, a fail and a reset-timeout", [(ACK, one, a), (FAIL, two, 0), (RESET, one, 0)],
         False),
        ("task 65535", [(ACK, root(65535, 0xFFFFFF, 0xFFFFFF), b)], True),
    ]  # fmt: skip


_Did = list[tuple[int, int, int]]
_Frames = list[tuple[int, _Did]]


def _combining(name: str, did: _Did, sent: _Frames) -> dict[str, Any]:
    return {
        "name": name,
        "did": _shown(did),
        "frames": [[task, _shown(entries)] for task, entries in sent],
    }


def _combining_cases() -> list[tuple[str, _Did, _Frames]]:
    (one, two), (a, b) = _ROOTS, _EDGES
    far = root(2, 3, 4)
    return [
        ("acks of one root become one", [(ACK, one, a), (ACK, one, b)], [(1, [(ACK, one, a ^ b)])]),
        ("acks of two roots share a frame", [(ACK, one, a), (ACK, two, b)],
         [(1, [(ACK, one, a), (ACK, two, b)])]),
        ("a frame for each spout task", [(ACK, one, a), (ACK, far, b)],
         [(1, [(ACK, one, a)]), (2, [(ACK, far, b)])]),
        ("an ack stays before a later fail", [(ACK, one, a), (FAIL, one, 0), (ACK, two, b)],
         [(1, [(ACK, one, a)]), (1, [(FAIL, one, 0)]), (1, [(ACK, two, b)])]),
        ("two acks that cancel: the first may complete the tree", [(ACK, one, a), (ACK, one, a)],
         [(1, [(ACK, one, a)]), (1, [(ACK, one, a)])]),
    ]  # fmt: skip
