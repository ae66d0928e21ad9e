"""Vectors of refusals: damaged headers, hellos and payloads, and the error that each gets."""

from __future__ import annotations

from typing import Any

from frame_vectors import column, header, hello_fields, message, token
from messagepack import long, pack, sequence

from heronshim.wire.v1 import data_pb2, link_pb2, plan_pb2

_GOOD = message(link_pb2.Hello, hello_fields())
ABOUT = (
    "links: a new connection to a stream manager of container 1, whose process count-3 has task 3; "
    "each entry of `frames` is one frame's parts. The last one is answered with an Error of "
    "`code`, and the link, if there was one, ends. payloads: what a reader of a frame of `kind` "
    "must find, at whichever end it is read. The secret is that of frames.json."
)


def refusals() -> dict[str, Any]:
    """Return refusals.json."""
    return {"about": ABOUT, "links": _links(), "payloads": _payloads()}


def _links() -> list[dict[str, Any]]:
    first, ack = header(1, 0), header(7, 1, 3, 1)
    good = [first, _GOOD]
    cases: list[tuple[str, list[list[bytes]], str]] = [
        ("a header of 23 bytes", [[first[:-1], _GOOD]], "MALFORMED"),
        ("a header of 25 bytes", [[first + b"\0", _GOOD]], "MALFORMED"),
        ("no payload part", [[first]], "MALFORMED"),
        ("a third part", [[first, _GOOD, b""]], "MALFORMED"),
        ("header version 0", [[header(1, 0, version=0), _GOOD]], "VERSION"),
        ("header version 2", [[header(1, 0, version=2), _GOOD]], "VERSION"),
        ("data before the hello", [[ack, b""]], "NO_HELLO"),
        ("an unknown kind before the hello", [[header(99, 1), b""]], "NO_HELLO"),
        ("a hello that is no message", [[first, b"\xff\xff"]], "MALFORMED"),
        ("a hello cut short", [[first, _GOOD[:-1]]], "MALFORMED"),
        ("an empty hello has no role", [[first, b""]], "MALFORMED"),
        *[(name, [[first, _hello(**fields)]], code) for name, fields, code in _hellos()],
        ("the same attempt again", [good, [first, _hello(attempt=1)]], "KIND"),
        ("a header of 4 bytes on a good link", [good, [b"abcd", b""]], "MALFORMED"),
        ("another header version on a good link", [good, [header(7, 1, 3, version=3), b""]],
         "VERSION"),
        ("a heartbeat that cannot be read", [good, [header(11, 1), b"\x08"]], "MALFORMED"),
        ("credit with columns of different length", [good, [header(9, 1), _credit([3], [])]],
         "MALFORMED"),
        ("credit that cannot be read", [good, [header(9, 1), b"\xff"]], "MALFORMED"),
        ("a request that cannot be read", [good, [header(10, 1), b"\xff"]], "MALFORMED"),
        ("a number of the sequence left out", [good, [header(11, 2), b"\x08\1"]], "MALFORMED"),
        ("a number that came before", [good, [header(11, 0), b""]], "MALFORMED"),
        ("a heartbeat after a frame that never came", [good, [header(11, 1), b"\x08\7"]],
         "MALFORMED"),
        ("a bye after a frame that never came", [good, [header(4, 1), b"\x08\7"]], "MALFORMED"),
        ("a plan from an instance", [good, [header(6, 1), b""]], "KIND"),
        ("an unknown kind", [good, [header(99, 1), b""]], "KIND"),
    ]  # fmt: skip
    return [
        {"name": name, "frames": [[part.hex() for part in parts] for parts in sent], "code": code}
        for name, sent, code in cases
    ]


def _hellos() -> list[tuple[str, dict[str, Any], str]]:
    return [
        ("role 0", {"role": 0}, "MALFORMED"),
        ("role 9", {"role": 9}, "MALFORMED"),
        ("protocol version 0", {"protocol_version": 0}, "VERSION"),
        ("protocol version 2", {"protocol_version": 2}, "VERSION"),
        ("another topology", {"topology_id": "other-1"}, "TOPOLOGY"),
        ("no token", {"token": ""}, "TOKEN"),
        ("a token of another incarnation", {"token": token("count-3", 16)}, "TOKEN"),
        ("a token of another process", {"token": token("count-4", 17)}, "TOKEN"),
        ("a token with capitals", {"token": token("count-3", 17).upper()}, "TOKEN"),
        ("a process that is not in the container",
         {"process": "count-9", "token": token("count-9", 17)}, "TASK"),
        ("a task of another process", {"tasks": [4]}, "TASK"),
        ("no tasks", {"tasks": []}, "TASK"),
        ("the metrics manager's task", {"tasks": [3, -2]}, "TASK"),
    ]  # fmt: skip


def _payloads() -> list[dict[str, Any]]:
    rows = pack(sequence(sequence(long(1)), sequence(long(2))))
    pair = column(1 << 48)
    batch = {"component": "a", "stream": "default", "row_count": 2, "rows": rows}
    batches: list[tuple[str, dict[str, Any]]] = [
        ("row_count is not the number of rows", {"row_count": 3}),
        ("rows that are no array", {"rows": b"\x01"}),
        ("rows cut short", {"rows": rows[:-1]}),
        ("no rows bytes", {"rows": b""}),
        ("no rows", {"rows": b"\x90", "row_count": 0}),
        ("rows that claim to be 2^32 - 1", {"rows": b"\xdd\xff\xff\xff\xff"}),
        ("one pair for two rows", {"roots": pair, "edges": pair}),
        ("roots without edges", {"roots": pair + pair}),
        ("edges without roots", {"edges": pair + pair}),
        ("roots that are no multiple of 8 bytes", {"roots": pair + pair[:7], "edges": pair * 2}),
        ("root_counts that promise more pairs",
         {"root_counts": [2, 1], "roots": pair * 2, "edges": pair * 2}),
        ("root_counts for one row of two", {"root_counts": [2], "roots": pair * 2,
                                            "edges": pair * 2}),
    ]  # fmt: skip
    columns: list[tuple[str, dict[str, Any]]] = [
        ("roots that are no multiple of 8 bytes", {"roots": pair[:7], "xors": pair[:7]}),
        ("fewer XORs than roots", {"roots": pair * 2, "xors": pair}),
        ("fewer kinds than roots", {"kinds": b"\1", "roots": pair * 2, "xors": pair * 2}),
        ("kind 3", {"kinds": b"\3", "roots": pair, "xors": pair}),
    ]
    cases: list[tuple[str, int, bytes, str]] = [
        *[(name, 7, message(data_pb2.DataBatch, batch | other), "MALFORMED")
          for name, other in batches],
        ("a batch that is no message", 7, b"\xff\xff\xff", "MALFORMED"),
        *[(name, 8, message(data_pb2.Outcomes, fields), "MALFORMED") for name, fields in columns],
        ("outcomes that are no message", 8, b"\x0a\x05\x00", "MALFORMED"),
        ("more tasks than byte counts", 9, _credit([3, 4], [1]), "MALFORMED"),
        ("a request that is no message", 10, b"\x0a", "MALFORMED"),
        ("a loss notice that is no message", 12, b"\x0a", "MALFORMED"),
        ("a loss notice without an id", 12, b"", "MALFORMED"),
        ("the ack of a loss notice without an id", 13, b"", "MALFORMED"),
        ("a plan that is no message", 6, b"\x0a", "MALFORMED"),
        ("a plan without anything", 6, b"", "MALFORMED"),
        ("a plan of an unknown state", 6, message(
            plan_pb2.PhysicalPlan, {"plan_epoch": 1, "leader_epoch": "1", "state": 7}),
         "MALFORMED"),
        ("a kind that an instance does not take", 32, b"", "KIND"),
        ("an unknown kind", 99, b"", "KIND"),
    ]  # fmt: skip
    return [
        {"name": name, "kind": kind, "payload": payload.hex(), "code": code}
        for name, kind, payload, code in cases
    ]


def _hello(**other: Any) -> bytes:
    return message(link_pb2.Hello, hello_fields(**other))


def _credit(tasks: list[int], counts: list[int]) -> bytes:
    return message(link_pb2.Credit, {"tasks": tasks, "bytes": counts})
