"""The vectors are current, and this project's Python code agrees with them."""

from __future__ import annotations

import importlib.util
import json
import struct
from functools import partial, reduce
from operator import xor
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq
from google.protobuf.json_format import MessageToDict, ParseDict

from heronshim.core.codec import data as data_codec
from heronshim.core.codec import link as link_codec
from heronshim.core.codec.data import decode_batch, decode_outcomes, encode_outcomes, pack_rows
from heronshim.core.codec.master import heartbeat_to_bytes, register_to_bytes
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.codec.plan import physical_plan_from_bytes, physical_plan_to_bytes
from heronshim.core.daemons.stmgr import StreamManager
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.sockets import dealer, router
from heronshim.core.master.messages import StmgrHeartbeat, StmgrRegister
from heronshim.core.stream.ack_tracker import AckTracker, task_of_root
from heronshim.core.stream.forwarding import Forwarder
from heronshim.core.stream.frame import HEADER, Kind
from heronshim.errors import ErrorCode, RemoteProtocolError
from heronshim.instance.clock import Clock
from heronshim.instance.identity import Identity
from heronshim.instance.outcomes import OutcomeBuffer
from heronshim.instance.runtime import InstanceRuntime
from heronshim.wire.v1 import data_pb2, link_pb2, master_pb2, metrics_pb2, plan_pb2

FOLDER = Path(__file__).parent
MESSAGES = (data_pb2, link_pb2, master_pb2, metrics_pb2, plan_pb2)
BYTES_FIELDS = ("rows", "roots", "edges", "xors", "kinds")


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def cases(name: str, part: str) -> Any:
    vectors = load(name)[part]
    assert vectors
    return pytest.mark.parametrize("vector", vectors, ids=[each["name"] for each in vectors])


ROWS, FRAMES, REFUSALS = load("rows"), load("frames"), load("refusals")
SECRET = bytes.fromhex(FRAMES["secret"])
TOPOLOGY = FRAMES["frames"][0]["fields"]["topology_id"]


def test_files_are_what_the_script_writes() -> None:
    for name, text in module("make_vectors").files().items():
        written = (FOLDER / name).read_text()
        assert written == text, f"{name}: type .venv/bin/python tests/vectors/make_vectors.py"


# ---- rows ----


def value_of(tagged: dict[str, Any]) -> Any:
    kind, value = tagged["class"], tagged.get("value")
    if kind == "null":
        return None
    if kind in ("Integer", "Long", "BigInteger"):
        return int(value)
    if kind == "Double":
        return struct.unpack(">d", bytes.fromhex(tagged["bits"]))[0]
    if kind == "String":
        return bytes.fromhex(tagged["utf16"]).decode("utf-16-be", "surrogatepass")
    if kind == "byte[]":
        return bytes.fromhex(value)
    if kind == "List":
        return [value_of(item) for item in value]
    if kind == "Map":
        return {value_of(key): value_of(item) for key, item in value}
    assert kind == "Boolean"
    return value


def same(left: Any, right: Any) -> bool:
    """Compare with types, so that 1, 1.0 and True differ, -0.0 and 0.0 too, and NaN is itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same([list(item) for item in left.items()], [list(item) for item in right.items()])
    return left == right


def read_value(data: bytes) -> Any:
    """Read a value as the only one of the only row of a batch."""
    batch = data_pb2.DataBatch(row_count=1, rows=b"\x91\x91" + data).SerializeToString()
    return decode_batch(batch)[1][0][0]


@cases("rows", "values")
def test_value_is_read_from_both_forms_and_written_in_the_shortest(vector: dict) -> None:
    value = value_of(vector["read"])
    assert pack_rows([[value]]).hex() == "9191" + vector["bytes"]
    assert same(read_value(bytes.fromhex(vector["bytes"])), value)
    if vector["java_bytes"] is not None:
        assert same(read_value(bytes.fromhex(vector["java_bytes"])), value)


def test_java_forms_tell_integer_from_long() -> None:
    first = {"Integer": "d2", "Long": "d3", "Float": "ca", "Double": "cb"}
    tested = [each for each in ROWS["values"] if each["java"] in first]
    assert len(tested) > 40
    for vector in tested:
        assert vector["java_bytes"][:2] == first[vector["java"]], vector["name"]


@cases("rows", "readable")
def test_value_is_read_in_any_width(vector: dict) -> None:
    assert same(read_value(bytes.fromhex(vector["bytes"])), value_of(vector["read"]))


@cases("rows", "blobs")
def test_blob_is_written_and_read(vector: dict) -> None:
    rows = value_of(vector["rows"])
    blob = bytes.fromhex(vector["bytes"])
    assert pack_rows(rows) == blob
    batch = data_pb2.DataBatch(row_count=len(rows), rows=blob).SerializeToString()
    assert same(decode_batch(batch)[1], rows)


@cases("rows", "unwritable")
def test_value_that_has_no_form_is_refused_by_name(vector: dict) -> None:
    row = [value_of(vector["value"])]
    with pytest.raises(data_codec.ENCODING_ERRORS) as caught:
        pack_rows([row])
    error = data_codec.unwritable_error("split", "default", row, ("word",), str(caught.value))
    assert error.code is ErrorCode.VALUE
    assert 'component "split", stream "default", field "word"' in str(error)


@cases("rows", "unreadable")
def test_damaged_blob_is_malformed(vector: dict) -> None:
    rows = bytes.fromhex(vector["bytes"])
    with pytest.raises(RemoteProtocolError) as caught:
        decode_batch(data_pb2.DataBatch(row_count=1, rows=rows).SerializeToString())
    assert caught.value.code is ErrorCode.MALFORMED


# ---- frames ----


def message_class(name: str) -> Any:
    return next(getattr(each, name) for each in MESSAGES if hasattr(each, name))


@cases("frames", "frames")
def test_frame_is_read_and_written(vector: dict) -> None:
    decoded = vector["decoded"]
    header = bytes.fromhex(vector["header"])
    names = ("version", "kind", "flags", "plan_epoch", "destination", "source", "sequence")
    assert len(header) == 24
    assert dict(zip(names, HEADER.unpack(header), strict=True)) == decoded
    assert Kind(decoded["kind"]).name == vector["name"].split(":")[0]
    payload = bytes.fromhex(vector["payload"])
    read = message_class(vector["message"]).FromString(payload)
    plain = {key: value for key, value in vector["fields"].items() if key not in BYTES_FIELDS}
    made = ParseDict(plain, type(read)())
    for name in BYTES_FIELDS:
        if name in vector["fields"]:
            setattr(made, name, bytes.fromhex(vector["fields"][name]))
    assert MessageToDict(read) == MessageToDict(made)
    again = rewritten(Kind(decoded["kind"]), payload)
    assert again is None or again == payload


def rewritten(kind: Kind, payload: bytes) -> bytes | None:
    """Read with our codec and write what it read; None where messages are used as they are."""
    if kind is Kind.HELLO:
        return link_codec.encode_hello(link_codec.decode_hello(payload))
    if kind is Kind.HELLO_ACK:
        return link_codec.encode_hello_ack(64 << 20, 200)
    if kind is Kind.ERROR:
        code, text, retryable = link_codec.decode_error(payload)
        return link_codec.encode_error(code, text, retryable=retryable)
    if kind is Kind.PLAN:
        return physical_plan_to_bytes(physical_plan_from_bytes(payload))
    if kind is Kind.DATA:
        batch, rows = decode_batch(payload)
        if batch.meta:
            return None
        return data_codec.encode_batch(
            batch.component, batch.stream, len(rows), pack_rows(rows), batch.root_counts,
            batch.roots, batch.edges,
        )  # fmt: skip
    if kind is Kind.OUTCOMES:
        read = decode_outcomes(payload)
        return encode_outcomes(read.kinds, read.roots, read.xors, distinct=read.distinct)
    if kind is Kind.CREDIT:
        return link_codec.encode_credit(dict(link_codec.decode_credit(payload)))
    if kind is Kind.CREDIT_REQUEST:
        return link_codec.encode_credit_request(dict(link_codec.decode_credit_request(payload)))
    if kind is Kind.BACK_PRESSURE:
        return link_codec.encode_back_pressure(link_codec.decode_back_pressure(payload))
    if kind is Kind.HEARTBEAT:
        return link_codec.encode_heartbeat(link_codec.decode_heartbeat(payload))
    if kind is Kind.BYE:
        return link_codec.encode_bye(link_codec.decode_bye(payload))
    if kind is Kind.BYE_ACK:
        return link_codec.encode_bye_ack(link_codec.decode_bye_ack(payload))
    if kind is Kind.LOSS_NOTICE:
        return link_codec.encode_loss_notice(link_codec.decode_loss_notice(payload))
    if kind is Kind.LOSS_NOTICE_ACK:
        return link_codec.encode_loss_notice_ack(link_codec.decode_loss_notice_ack(payload))
    if kind is Kind.METRICS:
        return metrics_to_bytes(metrics_from_bytes(payload, "words"))
    if kind is Kind.STMGR_REGISTER:
        register = StmgrRegister(1, "host-a", "ipc:///run/heronshim/ab12cd34", 4241, 16, 0, 0)
        return register_to_bytes(register)
    if kind is Kind.STMGR_HEARTBEAT:
        return heartbeat_to_bytes(StmgrHeartbeat(1, 4, (1, 3), (2,)))
    return None


def test_every_kind_has_a_frame() -> None:
    assert {each["decoded"]["kind"] for each in FRAMES["frames"]} == set(Kind)


# ---- outcomes, errors ----


def entries_of(payload: bytes) -> list[list[Any]]:
    read = decode_outcomes(payload)
    count = len(read.roots) // 8
    kinds = read.kinds or bytes(count)
    roots, xors = (struct.unpack(f"<{count}Q", column) for column in (read.roots, read.xors))
    return [
        [kind, f"{root:016x}", f"{change:016x}"]
        for kind, root, change in zip(kinds, roots, xors, strict=True)
    ]


@cases("outcomes", "frames")
def test_outcomes_are_read_and_written(vector: dict) -> None:
    payload = bytes.fromhex(vector["payload"])
    assert entries_of(payload) == vector["entries"]
    read = decode_outcomes(payload)
    assert read.distinct == vector["distinct"]
    assert rewritten(Kind.OUTCOMES, payload) == payload


@cases("outcomes", "combining")
def test_outcomes_of_one_flush_combine(vector: dict) -> None:
    buffer = OutcomeBuffer(3)
    for kind, root, change in vector["did"]:
        if kind == 0:
            buffer.ack(int(root, 16), int(change, 16))
        else:
            assert kind == 1
            buffer.fail(int(root, 16))
    sent = [[task, entries_of(payload)] for _, task, _, payload in buffer.take()]
    assert sent == vector["frames"]


def test_errors_have_the_numbers_of_the_table() -> None:
    table = {each["name"]: each["code"] for each in load("errors")["codes"]}
    assert table == {code.name: code.value for code in ErrorCode}
    for name, code in table.items():
        payload = link_pb2.Error(code=code, message="m").SerializeToString()
        assert link_codec.decode_error(payload)[0].name == name


# ---- trees ----


class Trackers:
    """Our trackers, one a spout task, told of a vector's roots by roots of their own."""

    def __init__(self) -> None:
        self._by_task: dict[int, AckTracker] = {}
        self._roots: dict[str, int] = {}
        """A vector's root -> ours."""

    def of(self, root: str) -> AckTracker:
        task = task_of_root(int(root, 16))
        return self._by_task.setdefault(task, AckTracker(task, Random(task)))

    def stale(self) -> int:
        return sum(tracker.stale_count for tracker in self._by_task.values())

    def open(self, root: str, edges: list[str]) -> None:
        """Open a tree and replace the edges that the tracker drew by the vector's, in one ack."""
        tracker = self.of(root)
        ours, drawn = tracker.open_copies(root, len(edges), 0)
        self._roots[root] = ours
        change = reduce(xor, [*drawn, *(int(edge, 16) for edge in edges)])
        done = self._settle(tracker, [(0, ours, change)])
        assert done == ([], [])

    def outcomes(self, entries: list[list[Any]]) -> tuple[list[str], list[str]]:
        acked: list[str] = []
        failed: list[str] = []
        for tracker in {id(self.of(root)): self.of(root) for _, root, _ in entries}.values():
            known = [
                (kind, self._roots.get(root, int(root, 16)), int(change, 16))
                for kind, root, change in entries
                if self.of(root) is tracker
            ]
            done = self._settle(tracker, known)
            acked += done[0]
            failed += done[1]
        return acked, failed

    def is_open(self, root: str) -> bool:
        return self.of(root).is_open(self._roots[root])

    def _settle(self, tracker: AckTracker, entries: list[tuple[int, int, int]]) -> Any:
        kinds = bytes(kind for kind, _, _ in entries)
        roots = np.array([root for _, root, _ in entries], np.uint64)
        settled = tracker.settle(
            roots, np.array([change for _, _, change in entries], np.uint64),
            kinds if any(kinds) else b"", distinct=len(set(roots.tolist())) == len(entries),
            now_us=1,
        )  # fmt: skip
        tracker.check_invariants()
        return settled.acked, settled.failed


@cases("trees", "sequences")
def test_trees_settle_as_their_xors_say(vector: dict) -> None:
    trackers, stale = Trackers(), 0
    for step in vector["steps"]:
        if "open" in step:
            trackers.open(step["open"], step["edges"])
            continue
        acked, failed = trackers.outcomes(step["outcomes"])
        stale += step["stale"]
        assert (sorted(acked), sorted(failed)) == (sorted(step["acked"]), sorted(step["failed"]))
        assert trackers.stale() == stale
    assert all(trackers.is_open(root) for root in vector["still_open"])


# ---- refusals ----


class Listener:
    """Links of a stream manager of container 1, whose process count-3 has task 3."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self.socket = router(context)
        self.socket.bind(endpoint)
        manager = SimpleNamespace(
            _local={"count-3": (3,)}, _start=SimpleNamespace(container=1), _forwarder=None
        )
        admit = partial(StreamManager._admit, manager)
        self.links = manager._links = RouterLinks(self.socket, SECRET, TOPOLOGY, admit)
        manager._forwarder = Forwarder(lambda *_: True, len)
        manager._on_control = partial(StreamManager._on_control, manager)
        manager._on_links_changed = lambda: None
        self.read = partial(StreamManager._read_router, manager, 1)


@pytest.fixture
def listener(tmp_path: Path) -> Any:
    context = zmq.Context()
    made = Listener(context, "inproc://stream-manager")
    made.peer = dealer(context)
    made.peer.connect("inproc://stream-manager")
    yield made
    context.destroy(linger=0)


def answer(listener: Any) -> tuple[int, bytes]:
    for _ in range(2000):
        listener.read()
        if listener.peer.poll(5):
            header, payload = listener.peer.recv_multipart()
            return HEADER.unpack(header)[1], payload
    pytest.fail("no answer")


@cases("refusals", "links")
def test_refused_frame_is_answered_and_ends_its_link(listener: Any, vector: dict) -> None:
    for position, parts in enumerate(vector["frames"], 1):
        listener.peer.send_multipart([bytes.fromhex(part) for part in parts])
        kind, payload = answer(listener)
        if position < len(vector["frames"]):
            assert kind == Kind.HELLO_ACK
            assert len(listener.links.links()) == 1
    assert kind == Kind.ERROR
    assert link_codec.decode_error(payload)[0].name == vector["code"]
    assert listener.links.links() == []


@cases("refusals", "payloads")
def test_damaged_payload_is_refused_by_its_reader(vector: dict) -> None:
    runtime = InstanceRuntime(
        Identity("count-3", 1, ((3,),)), lambda *_: None, Random(1), Clock(lambda: 1, lambda: 1)
    )
    readers = {Kind.DATA: decode_batch, Kind.OUTCOMES: decode_outcomes}
    kind = vector["kind"]
    read = readers.get(kind, lambda payload: runtime.on_frame(kind, 3, 1, payload, 1))
    with pytest.raises(RemoteProtocolError) as caught:
        read(bytes.fromhex(vector["payload"]))
    assert caught.value.code.name == vector["code"]


def test_refusals_use_names_of_the_table() -> None:
    names = {each["name"] for each in load("errors")["codes"]}
    assert {each["code"] for part in ("links", "payloads") for each in REFUSALS[part]} <= names
