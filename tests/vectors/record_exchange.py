"""Prints what an instance and its stream manager say to each other; the page has it.

The bolt split-2 is recorded, between the spout lines-3 and the bolt count-1, all in one container.
Runtime, links and forwarder are the engine's, on real sockets, with a seed and a clock of their
own. `--write` puts the text into docs/instance-protocol.md and all bytes into exchange.json.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from random import Random
from typing import Any

import zmq
from google.protobuf.json_format import MessageToDict

from heronshim.api.components import Bolt, Spout
from heronshim.core.codec.data import decode_batch, decode_outcomes
from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    encode_bye,
    encode_credit,
    encode_credit_request,
    encode_heartbeat,
    encode_hello,
)
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.io.router_links import InboundLink, RouterLinks
from heronshim.core.io.sockets import dealer, router
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.plan.physical_plan import RegisteredStmgr, build_physical_plan
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.stream.forwarding import Forwarder
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Bye, Hello, Role
from heronshim.instance.clock import Clock
from heronshim.instance.identity import Identity
from heronshim.instance.runtime import InstanceRuntime
from heronshim.wire.v1 import data_pb2, link_pb2, metrics_pb2, plan_pb2

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "instance-protocol.md"
FILE = ROOT / "tests" / "vectors" / "exchange.json"
BEGIN, END = "<!-- recorded -->\n```text\n", "```\n<!-- end of the record -->"
TOPOLOGY = "words-1700000000"
SECRET = bytes(range(32))
ENDPOINT = "inproc://stream-manager"
NOW_NS = 1_000_000_000
TIME_MS = 1_700_000_000_000
SHOWN_BYTES_MAX = 96
MESSAGES: dict[Kind, Any] = {
    Kind.HELLO: link_pb2.Hello, Kind.HELLO_ACK: link_pb2.HelloAck, Kind.BYE: link_pb2.Bye,
    Kind.BYE_ACK: link_pb2.ByeAck, Kind.PLAN: plan_pb2.PhysicalPlan, Kind.DATA: data_pb2.DataBatch,
    Kind.OUTCOMES: data_pb2.Outcomes, Kind.CREDIT: link_pb2.Credit,
    Kind.CREDIT_REQUEST: link_pb2.CreditRequest, Kind.HEARTBEAT: link_pb2.LinkHeartbeat,
    Kind.METRICS: metrics_pb2.MetricsReport,
}  # fmt: skip
Record = list[tuple[str, bytes, bytes]]
"""(direction as the instance sees it, header, payload)."""


class Lines(Spout):
    """Emits one line."""

    def __init__(self) -> None:
        self.left = [["heron crane"]]
        self.acked: list[Any] = []

    def next_tuple(self) -> None:
        if self.left:
            self.emit(self.left.pop(), id="line-1")

    def ack(self, id: Any) -> None:
        self.acked.append(id)


class Split(Bolt):
    """Emits the words of a line."""

    def execute(self, tup: Any) -> None:
        for word in tup.values[0].split():
            self.emit([word])


class Count(Bolt):
    """Takes words."""

    def execute(self, tup: Any) -> None:
        assert tup.values[0] in ("heron", "crane")


class Manager:
    """The stream manager's links and routing, as core/daemons/stmgr.py ties them together."""

    def __init__(self, context: zmq.Context, plan: PhysicalPlan) -> None:
        self._plan_bytes = physical_plan_to_bytes(plan)
        socket = router(context)
        socket.bind(ENDPOINT)
        self.links = RouterLinks(socket, SECRET, TOPOLOGY, lambda _: None)
        self._by_number: dict[int, InboundLink] = {}
        self._forwarder = Forwarder(self._send, len)
        self._forwarder.set_tasks(task for task, _, _, _ in plan.placements())

    def turn(self) -> None:
        """Read all frames, send what follows from them."""
        forwarder = self._forwarder
        while (frame := self.links.receive(NOW_NS)) is not None:
            link, kind = frame.link.number, frame.kind
            if kind == Kind.DATA:
                forwarder.on_data(
                    link, kind, frame.destination, frame.source, frame.payload, NOW_NS
                )
            elif kind == Kind.OUTCOMES:
                forwarder.on_outcomes(frame.destination, frame.source, frame.payload)
            elif kind == Kind.CREDIT:
                forwarder.on_credit(link, decode_credit(frame.payload.buffer), NOW_NS)
            elif kind == Kind.CREDIT_REQUEST:
                tasks = decode_credit_request(frame.payload.buffer)
                forwarder.on_credit_request(link, tasks, NOW_NS)
            else:
                assert kind == Kind.METRICS
        for link in self.links.joined:
            self._by_number[link.number] = link
            self.links.send(link, Kind.PLAN, self._plan_bytes)
            for task in link.hello.tasks:
                forwarder.bind(task, link.number)
        self.links.joined.clear()
        for number, grants in forwarder.take_grants().items():
            self._send(number, Kind.CREDIT, 0, 0, encode_credit(grants))
        for number, tasks in forwarder.wanted.items():
            self._send(number, Kind.CREDIT_REQUEST, 0, 0, encode_credit_request(tasks))
        forwarder.wanted.clear()

    def _send(self, link: int, kind: int, destination: int, source: int, payload: Any) -> bool:
        return self.links.send(self._by_number[link], kind, payload, destination, source)


class Process:
    """An instance: runtime and socket, every frame noted."""

    def __init__(self, context: zmq.Context, process: str, task: int, component: object) -> None:
        identity = Identity(process, 1, ((task,),), 17, 4242)
        clock = Clock(lambda: NOW_NS, lambda: TIME_MS)
        values = {"cpu_time_us": 2500.0, "rss_bytes": 31457280.0}
        self.runtime = InstanceRuntime(
            identity, lambda *_: component, Random(task), clock, None, lambda: dict(values)
        )
        self.record: Record = []
        self._sequence = self._received = 0
        self._socket = dealer(context)
        self._socket.connect(ENDPOINT)
        hello = Hello(
            TOPOLOGY, Role.INSTANCE, process, incarnation=17, attempt=1,
            token=process_token(SECRET, TOPOLOGY, process, 17), tasks=(task,), pid=4242,
            container=1,
        )  # fmt: skip
        self._write(HEADER.pack(PROTOCOL_VERSION, Kind.HELLO, 0, 0, 0, 0, 0), encode_hello(hello))

    def turn(self) -> bool:
        """Read, run the component, send; return whether a frame came or went."""
        before = len(self.record)
        while self._socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            header, payload = self._socket.recv_multipart()
            self.record.append(("<-", header, payload))
            _, kind, _, _, destination, source, self._received = HEADER.unpack(header)
            if kind not in (Kind.HELLO_ACK, Kind.HEARTBEAT, Kind.BYE_ACK):
                self.runtime.on_frame(kind, destination, source, payload, NOW_NS)
        self.runtime.step(NOW_NS)
        self.runtime.flush(NOW_NS, idle=True)
        self._send_frames()
        return len(self.record) > before

    def send(self, kind: Kind, payload: bytes, destination: int = 0, source: int = 0) -> None:
        self._sequence += 1
        header = (PROTOCOL_VERSION, kind, 0, 0, destination, source, self._sequence)
        self._write(HEADER.pack(*header), payload)

    def end(self) -> None:
        """Close the component, report for the last time, say bye."""
        self.send(Kind.HEARTBEAT, encode_heartbeat(self._sequence))
        self.runtime.close()
        self.runtime.flush(NOW_NS, idle=True)
        self.runtime.report(NOW_NS, last=True)
        self._send_frames()
        self.send(Kind.BYE, encode_bye(Bye(self._sequence, self._received, "stopped")))

    def _send_frames(self) -> None:
        for kind, destination, source, payload in self.runtime.take_frames():
            self.send(kind, payload, destination, source)

    def _write(self, header: bytes, payload: bytes) -> None:
        self.record.append(("->", header, payload))
        self._socket.send_multipart([header, payload])


def plan() -> PhysicalPlan:
    """Return lines -> split -> count, one task each."""
    to_split = InputStream("lines", "default", Grouping(GroupingKind.SHUFFLE))
    to_count = InputStream("split", "default", Grouping(GroupingKind.FIELDS, ("word",)))
    lines = OutputStream("default", ("line",))
    words = OutputStream("default", ("word",))
    topology = Topology(
        "words",
        (
            Component("count", ComponentKind.BOLT, "app:Count", inputs=(to_count,)),
            Component("lines", ComponentKind.SPOUT, "app:Lines", outputs=(lines,)),
            Component("split", ComponentKind.BOLT, "app:Split", inputs=(to_split,),
                      outputs=(words,)),
        ),
        id=TOPOLOGY,
    )  # fmt: skip
    where = {1: RegisteredStmgr("host-a", "ipc:///run/heronshim/ab12cd34", 4241, 16)}
    packing = RoundRobinPacking().pack(topology)
    return build_physical_plan(topology, packing, where, plan_epoch=1, leader_epoch=1)


def record() -> Record:
    """Run the exchange and return the frames of split."""
    context: zmq.Context = zmq.Context()
    try:
        made = plan()
        ids = {component: tasks[0] for component, tasks in made.component_tasks().items()}
        manager, spout = Manager(context, made), Lines()
        split = Process(context, f"split-{ids['split']}", ids["split"], Split())
        _exchange(manager, [split])
        count = Process(context, f"count-{ids['count']}", ids["count"], Count())
        lines = Process(context, f"lines-{ids['lines']}", ids["lines"], spout)
        _exchange(manager, [lines, split, count])
        assert spout.acked == ["line-1"], "the tree of the line is not complete"
        manager.links.heartbeat(0)
        _exchange(manager, [split])
        split.end()
        _exchange(manager, [split])
        return split.record
    finally:
        context.destroy(linger=0)


def _exchange(manager: Manager, processes: list[Process]) -> None:
    """Let all speak until nobody has anything to say."""
    busy = True
    while busy:
        manager.turn()
        busy = sum(process.turn() for process in processes) > 0


def text(frames: Record) -> str:
    """Return the frames as lines for the page."""
    lines = []
    for direction, header, payload in frames:
        _, kind, _, _, destination, source, sequence = HEADER.unpack(header)
        lines.append(
            f"{direction} {Kind(kind).name} sequence {sequence}, to {destination}, from {source}"
        )
        lines.append(f"   {header.hex(' ', 8)}")
        hexed = payload[:SHOWN_BYTES_MAX].hex()
        lines += [f"   {hexed[at : at + 96]}" for at in range(0, len(hexed), 96)]
        if len(payload) > SHOWN_BYTES_MAX:
            lines[-1] += f" ... {len(payload)} bytes"
        lines.append(f"   {_meaning(Kind(kind), payload)}")
    return "\n".join(lines) + "\n"


def _meaning(kind: Kind, payload: bytes) -> str:
    """Return what a payload says, shortened where it is long."""
    if kind is Kind.DATA:
        batch, rows = decode_batch(payload)
        return (
            f"{batch.component}/{batch.stream} rows {json.dumps(rows)} roots "
            f"{_words(batch.roots)} edges {_words(batch.edges)}"
        )
    if kind is Kind.OUTCOMES:
        read = decode_outcomes(payload)
        return f"ack roots {_words(read.roots)} xors {_words(read.xors)} distinct {read.distinct}"
    if kind is Kind.PLAN:
        read = plan_pb2.PhysicalPlan.FromString(payload)
        ids = [process.id for each in read.containers for process in each.processes]
        return f"the topology; {', '.join(ids)} in container 1; state {read.state}"
    if kind is Kind.METRICS:
        task = MESSAGES[kind].FromString(payload).tasks[0]
        return ", ".join(f"{each.name} {each.value:g}" for each in task.values)
    fields = MessageToDict(MESSAGES[kind].FromString(payload), preserving_proto_field_name=True)
    fields = {name: _short(value) for name, value in fields.items()}
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return f"{value[:8]}..." if isinstance(value, str) and len(value) > 40 else value


def _words(column: bytes) -> str:
    return " ".join(f"{number:016x}" for (number,) in struct.iter_unpack("<Q", column))


def page(frames: Record) -> str:
    """Return the page with this record in it."""
    before, rest = PAGE.read_text().split(BEGIN)
    return before + BEGIN + text(frames) + END + rest.split(END)[1]


def file(frames: Record) -> str:
    """Return exchange.json: every byte."""
    lines = ",\n".join(
        json.dumps({"from": "instance" if direction == "->" else "stream manager",
                    "kind": Kind(header[1]).name, "header": header.hex(),
                    "payload": payload.hex()})
        for direction, header, payload in frames
    )  # fmt: skip
    about = "The record of docs/instance-protocol.md with all bytes; secret as in frames.json."
    return f'{{\n"about": {json.dumps(about)},\n"frames": [\n{lines}\n]\n}}\n'


def main() -> None:
    """Print the record, or write it."""
    frames = record()
    if "--write" in sys.argv:
        PAGE.write_text(page(frames))
        FILE.write_text(file(frames))
    else:
        sys.stdout.write(text(frames))


if __name__ == "__main__":
    main()
