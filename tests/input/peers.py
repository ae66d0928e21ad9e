"""Processes under attack, their well-behaved peers, and what attackers say."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from heronshim.core.codec.link import (
    decode_error,
    encode_credit,
    encode_credit_request,
    encode_hello,
)
from heronshim.core.codec.master import (
    command_to_bytes,
    heartbeat_to_bytes,
    register_to_bytes,
    reply_from_bytes,
)
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, LinkEventKind
from heronshim.core.io.sockets import dealer
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token
from heronshim.core.master.messages import Command, CommandKind, StmgrHeartbeat, StmgrRegister
from heronshim.core.plan.physical import (
    ContainerPlan,
    PackingPlan,
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.records import ExecutionState
from heronshim.core.plan.topology import (
    METRICSMGR_TASK,
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode

SECRET = bytes(range(32))
TOPOLOGY_ID = "words-1"
DEADLINE_S = 60.0
GROWTH_BYTES_MAX = 192 << 20
"""The goal is 256 MB over the base. One frame of 64 MB is three times there: read, held, sent."""
ROLES = {
    "stmgr": Role.STMGR,
    "metricsmgr": Role.METRICSMGR,
    "tmaster-sink": Role.METRICSMGR,
    "client": Role.CLIENT,
}
"""By the beginning of a process's name; others are instances."""
PROBE = b"\xff"
"""Payload of a heartbeat that cannot be read: it ends a link that still stands."""


def topology() -> Topology:
    """Return a spout task 1, a bolt task 2, and a bolt of tasks 3 to 6 for rogues."""
    shuffled = (InputStream("line", "default", Grouping(GroupingKind.SHUFFLE)),)
    lines = (OutputStream("default", ("line",)),)
    return Topology(
        "words",
        (
            Component("line", ComponentKind.SPOUT, "app:Lines", outputs=lines),
            Component("split", ComponentKind.BOLT, "app:Split", inputs=shuffled),
            Component("rogue", ComponentKind.BOLT, "app:Split", parallelism=4, inputs=shuffled),
        ),
        id=TOPOLOGY_ID,
    )


def packing() -> PackingPlan:
    """Return one container with a process for each task."""
    need = Resources(1.0, 1 << 30, 1 << 30)
    processes = (
        ProcessPlan("line-1", "line", ((1,),), need),
        *(ProcessPlan(f"rogue-{task}", "rogue", ((task,),), need) for task in range(3, 7)),
        ProcessPlan("split-2", "split", ((2,),), need),
    )
    return PackingPlan(1, (ContainerPlan(1, processes, need),), "round_robin")


def hello_of(process: str, incarnation: int = 1, attempt: int = 1, **other: Any) -> Hello:
    """Return a good hello of a process of that name; `other` makes it wrong."""
    kind, _, number = process.rpartition("-")
    values: dict[str, Any] = {
        "topology_id": TOPOLOGY_ID,
        "role": ROLES.get(kind, Role.INSTANCE),
        "token": process_token(SECRET, TOPOLOGY_ID, process, incarnation),
        **other,
    }
    if values["role"] is Role.INSTANCE:
        values.setdefault("tasks", (int(number),))
    elif values["role"] is not Role.CLIENT and number.isdecimal():
        values.setdefault("container", int(number))
    if kind == "metricsmgr":
        values.setdefault("tasks", (METRICSMGR_TASK,))
    return Hello(process=process, incarnation=incarnation, attempt=attempt, **values)


def head(
    kind: int, sequence: int = 1, destination: int = 0, source: int = 0, **other: int
) -> bytes:
    return HEADER.pack(
        other.get("version", PROTOCOL_VERSION), kind, other.get("flags", 0), 0, destination,
        source, sequence,
    )  # fmt: skip


def with_sequence(parts: list[bytes], sequence: int) -> list[bytes]:
    """Return a frame with another sequence number in its header, if it has a whole one."""
    header = parts[0]
    if len(header) != HEADER.size:
        return parts
    return [HEADER.pack(*HEADER.unpack(header)[:-1], sequence), *parts[1:]]


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, wire_type: int) -> bytes:
    """Return a protobuf field's tag."""
    return varint(number << 3 | wire_type)


def text(number: int, content: bytes) -> bytes:
    """Return a protobuf field that is a text, bytes, a message or packed numbers."""
    return field(number, 2) + varint(len(content)) + content


class Daemon:
    """A process under attack, and what is known of it."""

    def __init__(self, folder: Path, argv: list[str], start: ChildStart) -> None:
        self.path = folder / "s"
        self.endpoint = start.endpoint
        of_container = start.container > 0
        self.rogue = "rogue-3" if of_container else "stmgr-3"
        """A process that may join, and attacks."""
        python_path = f"{folder / 'plugin'}:{os.environ.get('PYTHONPATH', '')}"
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": python_path},
            )
        assert self.process.stdin is not None
        self.process.stdin.write(start.to_json().encode())
        self.process.stdin.close()
        self.attempts = 0
        self.peers: Any = None
        """The well-behaved ones."""
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def log(self) -> str:
        return self.log_path.read_text()

    def peak_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def reset_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def peer(self) -> zmq.Socket[bytes]:
        """Return a socket without a hello; its reads end at the deadline."""
        made = dealer(self.context)
        made.setsockopt(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        made.connect(self.endpoint)
        return made

    def raw(self) -> socket.socket:
        """Return a connection that speaks no ZMTP yet."""
        made = socket.socket(socket.AF_UNIX)
        # Connected without a time limit: with one, a full backlog is an error at once.
        made.connect(str(self.path))
        made.settimeout(DEADLINE_S)
        return made

    def answer(self, peer: zmq.Socket[bytes]) -> tuple[ErrorCode, str]:
        """Return code and message of the next error."""
        while True:
            header, payload = peer.recv_multipart()
            if HEADER.unpack(header)[1] == Kind.ERROR:
                code, message, _ = decode_error(payload)
                return code, message

    def refusal(self, *parts: bytes) -> tuple[ErrorCode, str]:
        """Return the answer to a frame on a connection without a hello."""
        peer = self.peer()
        try:
            peer.send_multipart(parts)
            return self.answer(peer)
        finally:
            peer.close(0)

    def refusal_or_none(self, *parts: bytes) -> ErrorCode | None:
        """Return how a hello is refused; None when it is taken."""
        peer = self.peer()
        try:
            peer.send_multipart(parts)
            header, payload = peer.recv_multipart()
            is_error = HEADER.unpack(header)[1] == Kind.ERROR
            return decode_error(payload)[0] if is_error else None
        finally:
            peer.close(0)

    def refused(self, **other: Any) -> ErrorCode:
        """Return the code that a hello of the rogue gets."""
        process = other.pop("process", self.rogue)
        self.attempts += 1
        hello = hello_of(process, **{"attempt": self.attempts, **other})
        code, message = self.refusal(head(Kind.HELLO, 0), encode_hello(hello))
        assert message
        return code

    def counted(self, name: str, at_least: float) -> None:
        """Wait until the process has reported that it counted so much."""
        sums = self.peers.sums
        self.peers.wait(lambda: sums.get(name, 0) >= at_least, f"{name} {at_least}")

    def attack(
        self,
        process: str,
        *frames: list[bytes],
        numbered: bool = True,
        probed: bool = True,
        **other: Any,
    ) -> ErrorCode | None:
        """Join as a process, send frames; return how the first bad one was refused, or None.

        Frames get the sequence numbers that are due, unless they are `numbered` False. A last
        frame that ends any link shows that none was refused, unless `probed` is False.
        """
        self.attempts += 1
        peer = self.peer()
        try:
            good = hello_of(process, attempt=self.attempts, **other)
            peer.send_multipart([head(Kind.HELLO, 0), encode_hello(good)])
            header, payload = peer.recv_multipart()
            assert HEADER.unpack(header)[1] == Kind.HELLO_ACK, decode_error(payload)
            probe = [[head(Kind.HEARTBEAT), PROBE]] if probed else []
            for sequence, parts in enumerate([*frames, *probe], 1):
                peer.send_multipart(with_sequence(parts, sequence) if numbered else parts)
            code, message = self.answer(peer)
            assert message
            assert len(message) < 1000
            return None if message.startswith("LinkHeartbeat: 1 bytes") else code
        finally:
            peer.close(0)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0, self.log()
        self.context.destroy(linger=0)


SCHEDULER = """
class IdleScheduler:
    def __init__(self, launch):
        pass
    def add_containers(self, plans, launch):
        pass
    def restart(self, ids, request_id=""):
        pass
"""
"""A plugin that starts nothing, found by its entry point."""


class Installation:
    """A folder with secret, scheduler and state of a topology that was submitted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET.hex())
        (folder / "state").mkdir(mode=0o700)
        metadata = folder / "plugin" / "idle-1.dist-info"
        metadata.mkdir(parents=True)
        (folder / "plugin" / "idle_scheduler.py").write_text(SCHEDULER)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: idle\nVersion: 1\n")
        points = "[heronshim.schedulers]\nidle = idle_scheduler:IdleScheduler\n"
        (metadata / "entry_points.txt").write_text(points)
        self.launch = Launch(
            topology="words",
            topology_id=TOPOLOGY_ID,
            work_dir=str(folder),
            socket_dir=str(folder),
            secret_path=str(folder / "secret"),
            python=sys.executable,
            state_manager="file",
            state_options={"root": str(folder / "state")},
            scheduler="idle",
        )
        self.manager = FileStateManager(self.launch.state_options)
        self.state = TopologyNodes(self.manager, "words")
        submitted = ExecutionState("words", TOPOLOGY_ID, 1, "me", "idle")
        self.state.create(topology(), packing(), submitted)

    def start(self, container: int, process: str, kind: str) -> Daemon:
        """Start an engine process that listens."""
        start = ChildStart(
            self.launch, container, process, 1, process_token(SECRET, TOPOLOGY_ID, process, 1),
            f"ipc://{self.folder}/s", packing().containers[0] if container else None,
        )  # fmt: skip
        argv = [sys.executable, "-m", f"heronshim.core.daemons.{kind}"]
        return Daemon(self.folder, argv, start)


class Peers(threading.Thread):
    """Well-behaved peers: they turn in a thread of their own, whatever the test does."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self.target = daemon
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.links: list[DealerLink] = []
        self.ended: list[str] = []
        self.done = 0
        """Exchanges so far."""
        self.sums: dict[str, float] = {}
        """What the process reported of itself, added up."""
        self.failure = ""
        self._stopping = False

    def link(self, hello: Hello) -> DealerLink:
        link = DealerLink(self.context, hello)
        link.connect(self.target.endpoint, time.monotonic_ns())
        self.links.append(link)
        return link

    def turn(self) -> None:
        """Exchange what there is to exchange; called again and again."""
        raise NotImplementedError

    def on_frame(self, link: DealerLink, kind: int, payload: bytes) -> None:
        """Take a frame."""
        raise NotImplementedError

    def run(self) -> None:
        try:
            while not self._stopping:
                now_ns = time.monotonic_ns()
                for link in self.links:
                    link.tick(now_ns)
                    while (frame := link.receive(now_ns)) is not None:
                        self.on_frame(link, frame.kind, frame.payload.bytes)
                    self.ended += [
                        event.cause
                        for event in link.take_events()
                        if event.kind is LinkEventKind.ENDED
                    ]
                self.turn()
                time.sleep(0.001)
        except Exception as error:
            self.failure = repr(error)
            raise

    def report(self, payload: bytes) -> None:
        for name, value in metrics_from_bytes(payload, "words").sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def wait(self, done: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end or self.target.process.poll() is not None:
                pytest.fail(f"waited for {what} {self.failure}\n{self.target.log()[-5000:]}")
            time.sleep(0.005)

    def close(self) -> None:
        self._stopping = True
        self.join()
        self.context.destroy(linger=0)


class StmgrPeers(Peers):
    """A source and a target that exchange data and outcomes, a metrics manager, and a TMaster."""

    def __init__(self, daemon: Daemon, master: zmq.Socket[bytes]) -> None:
        super().__init__(daemon)
        self.master = master
        self._sent = 0
        self._master_sequence = 0
        self._planned = False
        self.source = self.link(hello_of("line-1"))
        self.target_link = self.link(hello_of("split-2"))
        self.metricsmgr = self.link(hello_of("metricsmgr-1"))
        self.start()

    def turn(self) -> None:
        while self.master.poll(0):
            peer, header, _ = self.master.recv_multipart()
            kind = HEADER.unpack(header)[1]
            if kind in (Kind.HELLO, Kind.STMGR_REGISTER):
                self._master_sequence += 1
                answer = Kind.HELLO_ACK if kind == Kind.HELLO else Kind.PLAN
                plan = physical_plan(self.target.endpoint)
                payload = b"" if kind == Kind.HELLO else physical_plan_to_bytes(plan)
                # On a busy machine it has given up this attempt already, and makes another.
                with suppress(zmq.ZMQError):
                    self.master.send_multipart([peer, head(answer, self._master_sequence), payload])
        if self._planned and self._sent == self.done and self.source.up:
            self.source.send(Kind.CREDIT_REQUEST, encode_credit_request({2: 100}))
            self.source.send(Kind.DATA, b"batch", 2, 1)
            self._sent += 1

    def on_frame(self, link: DealerLink, kind: int, payload: bytes) -> None:
        if kind == Kind.PLAN and link is self.source:
            # Before it has a plan, a stream manager drops what is for tasks that it does not know.
            self._planned = True
        elif kind == Kind.CREDIT_REQUEST:
            link.send(Kind.CREDIT, encode_credit({2: 1 << 20}))
        elif kind == Kind.DATA:
            link.send(Kind.OUTCOMES, payload, 1, 2)
        elif kind == Kind.OUTCOMES:
            assert payload == b"batch"
            self.done += 1
        elif kind == Kind.METRICS and link is self.metricsmgr:
            self.report(payload)


class MasterPeers(Peers):
    """A stream manager, a metrics manager, and a client that asks for the status."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self._asked = 0
        self._registered = False
        self.stmgr = self.link(hello_of("stmgr-1"))
        self.metricsmgr = self.link(hello_of("metricsmgr-0"))
        self.client = self.link(hello_of("client-00000001"))
        self.start()

    def turn(self) -> None:
        if self.stmgr.up and not self._registered:
            register = StmgrRegister(1, "here", "ipc://nowhere", os.getpid(), 1)
            self._registered = self.stmgr.send(Kind.STMGR_REGISTER, register_to_bytes(register))
        if self.client.up and self._asked == self.done:
            self._asked += 1
            command = Command(f"status-{self._asked}", CommandKind.STATUS)
            self.client.send(Kind.COMMAND, command_to_bytes(command))

    def on_frame(self, link: DealerLink, kind: int, payload: bytes) -> None:
        if kind == Kind.COMMAND_REPLY:
            reply = reply_from_bytes(payload, "words")
            if not reply.request_id.startswith("status-"):
                return
            assert reply.ok
            self.done += 1
            if self._registered:
                beat = StmgrHeartbeat(1, 1, (1, 2))
                self.stmgr.send(Kind.STMGR_HEARTBEAT, heartbeat_to_bytes(beat))
        elif kind == Kind.METRICS and link is self.metricsmgr:
            self.report(payload)


def physical_plan(endpoint: str) -> PhysicalPlan:
    container = packing().containers[0]
    placed = PhysicalContainer(1, "here", endpoint, 1, 1, container.processes)
    return PhysicalPlan(1, 1, topology(), (placed,), TopologyState.ACTIVE)
