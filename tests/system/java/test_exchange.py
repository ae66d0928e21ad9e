"""The recorded exchange of docs/instance-protocol.md with a real Java instance over pyzmq."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from heronshim.core.plugins.java_command import java_argv
from heronshim.core.stream.frame import HEADER, Kind
from heronshim.wire.v1 import data_pb2, link_pb2, metrics_pb2, plan_pb2, topology_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2000)]
DEADLINE_S = 120.0
VECTORS = Path(__file__).parents[2] / "vectors"


def recorded(kind: str) -> tuple[bytes, bytes]:
    """Return header and payload of the first frame of a kind that the stream manager sent."""
    for frame in json.loads((VECTORS / "exchange.json").read_text())["frames"]:
        if frame["kind"] == kind and frame["from"] == "stream manager":
            return bytes.fromhex(frame["header"]), bytes.fromhex(frame["payload"])
    raise AssertionError(kind)


class Peer:
    """A stream manager that a test plays, and the instance of split-3."""

    def __init__(self, folder: Path, package: Path, **launch: float) -> None:
        self._launch = {"topology_id": "words-1700000000", **launch}
        self.router = zmq.Context.instance().socket(zmq.ROUTER)
        self.router.setsockopt(zmq.LINGER, 0)
        self._path = folder / "s"
        self.router.bind(f"ipc://{self._path}")
        shutil.copytree(package, folder / "package")
        (folder / "package" / "stormcode.ser").unlink()
        self.log = (folder / "log").open("w+b")
        self.process = subprocess.Popen(
            java_argv(), cwd=folder, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log
        )
        assert self.process.stdin is not None
        self.process.stdin.write(self._start(folder))
        self.process.stdin.close()
        self.identity = b""
        self._sent = 0
        self._received = 0

    def _start(self, folder: Path) -> bytes:
        start = {
            "launch": self._launch, "container": 1, "process": "split-3",
            "component": "split", "incarnation": 17, "token": "00",
            "package_dir": f"{folder}/package", "endpoint": f"ipc://{self._path}",
            "plan": {"processes": [{"id": "split-3", "component": "split", "executors": [[3]]}]},
        }  # fmt: skip
        return json.dumps(start).encode() + b"\n"

    def receive(self) -> tuple[int, int, Any]:
        """Return kind, destination and message of the next frame; its number must follow."""
        end = time.monotonic() + DEADLINE_S
        while not self.router.poll(100):
            if time.monotonic() > end or self.process.poll() is not None:
                pytest.fail(f"nothing came; the instance's log: {self.output()}")
        identity, header, payload = self.router.recv_multipart()
        version, kind, flags, epoch, destination, source, sequence = HEADER.unpack(header)
        assert (version, flags, epoch) == (1, 0, 0)
        if kind == Kind.HELLO:
            self.identity, self._received, self._sent = identity, 0, 0
        else:
            self._received += 1
        assert sequence == self._received
        message = MESSAGES[kind].FromString(payload)
        if kind in (Kind.DATA, Kind.OUTCOMES, Kind.METRICS):
            assert source == 3
        return kind, destination, message

    def wait_for(self, kind: int) -> tuple[int, Any]:
        """Return destination and message of the next frame of a kind; others may come before."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            found, destination, message = self.receive()
            if found == kind:
                return destination, message
        pytest.fail(f"no frame of kind {kind}; the instance's log: {self.output()}")

    def send(self, kind: int, payload: bytes, destination: int = 0, source: int = 0) -> None:
        self._sent += 1
        header = HEADER.pack(1, kind, 0, 0, destination, source, self._sent)
        self.router.send_multipart([self.identity, header, payload])

    def greet(self, split: str = "words.SplitRows") -> Any:
        """Take the hello, answer it, and send the recorded plan with classes in Java."""
        _, hello = self.wait_for(Kind.HELLO)
        self.send(Kind.HELLO_ACK, recorded("HELLO_ACK")[1])
        self.send(Kind.PLAN, java_plan(split).SerializeToString())
        return hello

    def execute_a_line(self) -> None:
        """Send the recorded line and wait until it was executed."""
        self.send(Kind.CREDIT, link_pb2.Credit(tasks=[1], bytes=[1 << 16]).SerializeToString())
        self.send(Kind.CREDIT_REQUEST, recorded("CREDIT_REQUEST")[1])
        self.wait_for(Kind.CREDIT)
        self.send(Kind.DATA, recorded("DATA")[1], 3, 2)
        self.wait_for(Kind.OUTCOMES)

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.router.close()


MESSAGES: dict[int, Any] = {
    Kind.HELLO: link_pb2.Hello,
    Kind.BYE: link_pb2.Bye,
    Kind.BYE_ACK: link_pb2.ByeAck,
    Kind.DATA: data_pb2.DataBatch,
    Kind.OUTCOMES: data_pb2.Outcomes,
    Kind.CREDIT: link_pb2.Credit,
    Kind.CREDIT_REQUEST: link_pb2.CreditRequest,
    Kind.HEARTBEAT: link_pb2.LinkHeartbeat,
    Kind.LOSS_NOTICE: link_pb2.LossNotice,
    Kind.LOSS_NOTICE_ACK: link_pb2.LossNoticeAck,
    Kind.METRICS: metrics_pb2.MetricsReport,
}


def java_plan(split: str = "words.SplitRows") -> Any:
    classes = {"count": "words.Count", "lines": "words.Lines", "split": split}
    plan = plan_pb2.PhysicalPlan.FromString(recorded("PLAN")[1])
    for component in plan.topology.components:
        component.language = topology_pb2.LANGUAGE_PYTHON
        if component.id == "split":
            component.language = topology_pb2.LANGUAGE_JAVA
        component.object = classes[component.id]
    return plan


@pytest.fixture
def peer(request: Any, tmp_path: Path, words_package: Path) -> Iterator[Peer]:
    """Start an instance; a parameter has more of Peer's."""
    made = Peer(tmp_path, words_package, **getattr(request, "param", {}))
    yield made
    made.close()


def number(column: bytes) -> int:
    assert len(column) == 8
    return int.from_bytes(column, "little")


def test_recorded_exchange(peer: Peer) -> None:
    hello = peer.greet()
    expected = link_pb2.Hello(
        protocol_version=1, topology_id="words-1700000000", role=link_pb2.ROLE_INSTANCE,
        process="split-3", tasks=[3], incarnation=17, attempt=1, token="00",
        pid=peer.process.pid, container=1,
    )  # fmt: skip
    assert hello == expected

    peer.send(Kind.CREDIT_REQUEST, recorded("CREDIT_REQUEST")[1])
    _, credit = peer.wait_for(Kind.CREDIT)
    assert (list(credit.tasks), list(credit.bytes)) == ([3], [1024])

    batch = data_pb2.DataBatch.FromString(recorded("DATA")[1])
    peer.send(Kind.DATA, recorded("DATA")[1], 3, 2)
    words: dict[str, int] = {}
    outcome = 0
    while len(words) < 2 or not outcome:
        kind, destination, message = peer.receive()
        if kind == Kind.CREDIT_REQUEST:
            assert list(message.tasks) == [1]
            peer.send(Kind.CREDIT, message.SerializeToString())
        elif kind == Kind.OUTCOMES:
            assert destination == 2
            assert (message.roots, message.kinds) == (batch.roots, b"")
            outcome = number(message.xors)
        elif kind == Kind.DATA:
            assert (destination, message.component, message.stream) == (1, "split", "default")
            assert message.roots == batch.roots * message.row_count
            edges = [message.edges[at : at + 8] for at in range(0, len(message.edges), 8)]
            rows = msgspec.msgpack.decode(message.rows)
            words |= {row[0]: number(edge) for row, edge in zip(rows, edges, strict=True)}
    assert sorted(words) == ["crane", "heron"]
    assert outcome == number(batch.edges) ^ words["heron"] ^ words["crane"]

    peer.send(Kind.HEARTBEAT, link_pb2.LinkHeartbeat(last_sequence=peer._sent).SerializeToString())
    peer.process.terminate()
    _, bye = peer.wait_for(Kind.BYE)
    assert (bye.last_sequence, bye.last_received) == (peer._received - 1, peer._sent)
    peer.send(Kind.BYE_ACK, link_pb2.ByeAck(last_sequence=peer._received).SerializeToString())
    assert peer.process.wait(DEADLINE_S) == 0, peer.output()
    assert "link_ended" not in peer.output()


def test_gap_ends_the_link_and_what_waited_goes_on_the_next(peer: Peer) -> None:
    peer.greet()
    peer.send(Kind.CREDIT_REQUEST, recorded("CREDIT_REQUEST")[1])
    peer.wait_for(Kind.CREDIT)
    peer.send(Kind.DATA, recorded("DATA")[1], 3, 2)
    peer.wait_for(Kind.OUTCOMES)
    peer._sent += 1
    peer.send(Kind.HEARTBEAT, link_pb2.LinkHeartbeat(last_sequence=peer._sent).SerializeToString())
    peer.wait_for(Kind.HELLO)
    peer.send(Kind.HELLO_ACK, recorded("HELLO_ACK")[1])
    peer.send(Kind.PLAN, java_plan().SerializeToString())
    _, notice = peer.wait_for(Kind.LOSS_NOTICE)
    assert "never came" in notice.cause
    assert 3 in notice.sources
    _, again = peer.wait_for(Kind.LOSS_NOTICE)
    assert again.id == notice.id
    peer.send(Kind.LOSS_NOTICE_ACK, link_pb2.LossNoticeAck(id=notice.id).SerializeToString())
    peer.send(Kind.CREDIT, link_pb2.Credit(tasks=[1], bytes=[1 << 16]).SerializeToString())
    words: set[str] = set()
    while len(words) < 2:
        _, message = peer.wait_for(Kind.DATA)
        words |= {row[0] for row in msgspec.msgpack.decode(message.rows)}
    assert words == {"heron", "crane"}


def test_damaged_frames_are_dropped_and_told(peer: Peer) -> None:
    peer.greet()
    peer.send(Kind.DATA, b"\xff\xff\xff", 3, 2)
    _, notice = peer.wait_for(Kind.LOSS_NOTICE)
    assert "could not be read" in notice.cause
    peer.send(Kind.LOSS_NOTICE_ACK, link_pb2.LossNoticeAck(id=notice.id).SerializeToString())
    peer.execute_a_line()
    assert peer.process.poll() is None


def foreign_plan() -> bytes:
    plan = java_plan()
    plan.plan_epoch += 1
    del plan.containers[:]
    return bytes(plan.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Kind.CREDIT, b"\xff\xff\xff"),
        (Kind.CREDIT, link_pb2.Credit(tasks=[1], bytes=[1 << 30]).SerializeToString()),
        (Kind.CREDIT_REQUEST, link_pb2.CreditRequest(tasks=[1], bytes=[9]).SerializeToString()),
        (Kind.PLAN, foreign_plan()),
    ],
    ids=["unreadable", "credit", "task", "plan"],
)
def test_faults_of_the_stream_manager_end_the_link(peer: Peer, kind: Kind, payload: bytes) -> None:
    peer.greet()
    peer.execute_a_line()
    peer.send(kind, payload)
    assert peer.greet().attempt == 2
    _, notice = peer.wait_for(Kind.LOSS_NOTICE)
    assert "link of split-3 ended" in notice.cause
    peer.execute_a_line()


@pytest.mark.parametrize("peer", [{"liveness_limit_s": 1}], indirect=True)
def test_silent_stream_manager_is_given_up(peer: Peer) -> None:
    assert peer.greet().attempt == 1
    assert peer.greet().attempt == 2
    assert "silent for" in peer.output()


def test_replaced_instance_ends_without_another_hello(peer: Peer) -> None:
    peer.greet("words.SlowCleanup")
    peer.execute_a_line()
    stale = link_pb2.Error(code=link_pb2.ERROR_CODE_STALE_INCARNATION, message="replaced")
    peer.send(Kind.ERROR, stale.SerializeToString())
    assert peer.process.wait(DEADLINE_S) == 0, peer.output()
    kinds = []
    while peer.router.poll(0):
        _, header, _ = peer.router.recv_multipart()
        kinds.append(HEADER.unpack(header)[1])
    assert Kind.HELLO not in kinds
    assert "link_refused" in peer.output()


def test_exit_in_the_authors_code_is_reported(peer: Peer) -> None:
    peer.greet("words.Exits")
    peer.send(Kind.DATA, recorded("DATA")[1], 3, 2)
    errors: list[Any] = []
    while not errors:
        _, report = peer.wait_for(Kind.METRICS)
        errors += report.errors
    assert "System.exit was called in the author's code" in errors[0].message
    assert "words.Exits.execute" in errors[0].detail
    assert (errors[0].task, peer.process.wait(DEADLINE_S)) == (3, 1), peer.output()
