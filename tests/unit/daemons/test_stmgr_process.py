"""`heronshim stmgr` alone, against a TMaster, instances and peers played by the test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    decode_error,
    encode_credit,
    encode_credit_request,
    encode_hello,
)
from heronshim.core.codec.master import heartbeat_from_bytes, register_from_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, LinkEventKind
from heronshim.core.io.sockets import dealer
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.physical import PhysicalContainer, PhysicalPlan, TopologyState
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode

pytestmark = pytest.mark.system
SECRET = bytes(range(32))
TOPOLOGY_ID = "words-1"
DEADLINE_S = 30.0


class Instance:
    """A scripted process on a real link to the stream manager."""

    def __init__(self, context: zmq.Context, process: str, tasks: tuple[int, ...], **hello: Any):
        incarnation = hello.pop("incarnation", 1)
        role = hello.pop("role", Role.INSTANCE)
        token = hello.pop("token", process_token(SECRET, TOPOLOGY_ID, process, incarnation))
        self._poller = zmq.Poller()
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.events: list[Any] = []
        self.link = DealerLink(
            context,
            Hello(TOPOLOGY_ID, role, process, incarnation, 0, token, tasks, **hello),
            self._poller,
        )

    def turn(self) -> None:
        now_ns = time.monotonic_ns()
        self.link.tick(now_ns)
        while (frame := self.link.receive(now_ns)) is not None:
            self.frames.append(
                (frame.kind, frame.destination, frame.source, bytes(frame.payload.buffer))
            )
        self.events += self.link.take_events()

    def of_kind(self, kind: Kind) -> list[tuple[int, int, bytes]]:
        """Return (destination, source, payload) of the frames of a kind so far."""
        self.turn()
        return [frame[1:] for frame in self.frames if frame[0] == kind]

    def refusals(self) -> list[ErrorCode]:
        self.turn()
        return [event.code for event in self.events if event.kind is LinkEventKind.REFUSED]

    def close(self) -> None:
        self.link.close("end of test", time.monotonic_ns())


class Stmgr:
    """The stream manager of container 1 as a process, with its state and a scripted TMaster."""

    def __init__(self, folder: Path, context: zmq.Context, plans: Any, master: Any) -> None:
        self.context = context
        self.plans = plans
        self.master = master
        self.made: list[Instance] = []
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET.hex())
        state = folder / "state"
        state.mkdir(mode=0o700)
        launch = Launch(
            topology="words",
            topology_id=TOPOLOGY_ID,
            work_dir=str(folder),
            socket_dir=str(folder),
            secret_path=str(secret),
            python=sys.executable,
            state_manager="file",
            state_options={"root": str(state)},
        )
        self.manager = FileStateManager(launch.state_options)
        self.manager.put("/topologies/words/topology", b"")
        self.nodes = TopologyNodes(self.manager, "words")
        self.leadership = self.nodes.become_tmaster(TMasterLocation("here", master.endpoint, 1, 0))
        self.endpoint = f"ipc://{folder}/s"
        start = ChildStart(
            launch,
            1,
            "stmgr-1",
            1,
            process_token(SECRET, TOPOLOGY_ID, "stmgr-1", 1),
            self.endpoint,
            plans.packing.containers[0],
        )
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heronshim.cli.main", "stmgr"],
            stdin=subprocess.PIPE,
            stderr=self.log,
            stdout=self.log,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(start.to_json().encode())
        self.process.stdin.close()

    def wait(self, done: Callable[[], Any], what: str) -> Any:
        """Let everything turn until `done`."""
        end = time.monotonic() + DEADLINE_S
        while not (found := done()):
            if time.monotonic() > end:
                pytest.fail(f"waited {DEADLINE_S} s for {what}: {Path(self.log.name).read_text()}")
            self.manager.poll()
            self.master.read()
            for each in self.made:
                each.turn()
            time.sleep(0.002)
        return found

    def join(self, process: str, *tasks: int, **hello: Any) -> Instance:
        instance = Instance(self.context, process, tasks, **hello)
        instance.link.connect(self.endpoint, time.monotonic_ns())
        self.made.append(instance)
        return instance

    def push_plan(self, plan_epoch: int = 1, leader_epoch: int = 1) -> None:
        """Play the TMaster: push a plan with both containers on this one stream manager's peer."""
        registered = self.wait(lambda: self.master.of_kind(Kind.STMGR_REGISTER), "registration")
        plan = self.plan(plan_epoch, leader_epoch)
        self.master.send(registered[-1].peer, Kind.PLAN, physical_plan_to_bytes(plan))

    def plan(self, plan_epoch: int = 1, leader_epoch: int = 1) -> PhysicalPlan:
        containers = tuple(
            PhysicalContainer(
                item.id, "h", self.endpoint if item.id == 1 else f"{self.endpoint}2", 1, 1,
                item.processes,
            )
            for item in self.plans.packing.containers
        )  # fmt: skip
        return PhysicalPlan(
            plan_epoch, leader_epoch, self.plans.topology, containers, TopologyState.ACTIVE
        )


@pytest.fixture
def stmgr(
    tmp_path_factory: pytest.TempPathFactory, zmq_context: zmq.Context, plans: Any, make_router: Any
) -> Iterator[Stmgr]:
    running = Stmgr(tmp_path_factory.mktemp("st"), zmq_context, plans, make_router())
    yield running
    for instance in running.made:
        instance.close()
    running.manager.close()
    running.process.terminate()
    assert running.process.wait(DEADLINE_S) == 0
    running.log.close()


def joined(instance: Instance) -> Callable[[], bool]:
    return lambda: instance.link.up


def test_registers_and_hands_the_plan_to_instances(stmgr: Stmgr) -> None:
    early = stmgr.join("line-1", 1)
    stmgr.push_plan()
    stmgr.wait(lambda: early.of_kind(Kind.PLAN), "the plan at an instance that was there")
    late = stmgr.join("split-3", 3)
    stmgr.wait(lambda: late.of_kind(Kind.PLAN), "the plan at an instance that came later")
    register = register_from_bytes(stmgr.master.of_kind(Kind.STMGR_REGISTER)[0].payload)
    assert (register.container, register.peer_endpoint) == (1, stmgr.endpoint)
    stmgr.wait(
        lambda: any(
            heartbeat_from_bytes(beat.payload).joined_tasks == (1, 3)
            for beat in stmgr.master.of_kind(Kind.STMGR_HEARTBEAT)
        ),
        "a heartbeat that names both tasks",
    )


def test_routes_data_by_credit_and_outcomes_without(stmgr: Stmgr) -> None:
    source, target = stmgr.join("line-1", 1), stmgr.join("split-3", 3)
    stmgr.push_plan()
    stmgr.wait(lambda: source.of_kind(Kind.PLAN) and target.of_kind(Kind.PLAN), "plans")
    source.link.send(Kind.CREDIT_REQUEST, encode_credit_request({3: 1024}))
    granted = stmgr.wait(lambda: source.of_kind(Kind.CREDIT), "credit for the source")
    (task, grant_bytes), *_ = decode_credit(granted[0][2])
    assert task == 3
    assert grant_bytes > 0
    for number in range(3):
        source.link.send(Kind.DATA, b"batch%d" % number, 3, 1)
    asked = stmgr.wait(lambda: target.of_kind(Kind.CREDIT_REQUEST), "a request at the target")
    assert decode_credit_request(asked[0][2]) == [(3, 1024)]
    assert target.of_kind(Kind.DATA) == []
    target.link.send(Kind.CREDIT, encode_credit({3: 1024}))
    stmgr.wait(lambda: len(target.of_kind(Kind.DATA)) == 1, "one frame")
    target.link.send(Kind.CREDIT, encode_credit({3: 10_000}))
    stmgr.wait(lambda: len(target.of_kind(Kind.DATA)) == 3, "all frames")
    assert target.of_kind(Kind.DATA) == [(3, 1, b"batch%d" % number) for number in range(3)]
    target.link.send(Kind.OUTCOMES, b"outcome", 1, 3)
    stmgr.wait(lambda: source.of_kind(Kind.OUTCOMES) == [(1, 3, b"outcome")], "the outcome")


def test_frames_wait_for_a_task_that_has_not_joined(stmgr: Stmgr) -> None:
    source = stmgr.join("line-1", 1)
    stmgr.push_plan()
    stmgr.wait(lambda: source.of_kind(Kind.PLAN), "the plan")
    source.link.send(Kind.DATA, b"early", 3, 1)
    target = stmgr.join("split-3", 3)
    stmgr.wait(lambda: target.of_kind(Kind.CREDIT_REQUEST), "a request at the target")
    target.link.send(Kind.CREDIT, encode_credit({3: 1024}))
    stmgr.wait(lambda: target.of_kind(Kind.DATA) == [(3, 1, b"early")], "the early frame")


def test_metrics_go_to_the_metrics_manager_also_when_it_comes_late(stmgr: Stmgr) -> None:
    source = stmgr.join("line-1", 1)
    stmgr.wait(joined(source), "the source")
    source.link.send(Kind.METRICS, b"figures", METRICSMGR_TASK, 1)
    manager = stmgr.join("metricsmgr-1", METRICSMGR_TASK, role=Role.METRICSMGR)
    stmgr.wait(
        lambda: (METRICSMGR_TASK, 1, b"figures") in manager.of_kind(Kind.METRICS), "the figures"
    )


def test_a_newer_incarnation_takes_the_tasks_over(stmgr: Stmgr) -> None:
    old = stmgr.join("split-3", 3)
    source = stmgr.join("line-1", 1)
    stmgr.push_plan()
    stmgr.wait(lambda: old.of_kind(Kind.PLAN) and source.of_kind(Kind.PLAN), "plans")
    new = stmgr.join("split-3", 3, incarnation=2)
    stmgr.wait(joined(new), "the newer incarnation")
    # The old process still lives; what it sends now is dropped.
    old.link.send(Kind.OUTCOMES, b"stale", 1, 3)
    source.link.send(Kind.DATA, b"batch", 3, 1)
    stmgr.wait(lambda: new.of_kind(Kind.CREDIT_REQUEST), "a request at the newer one")
    new.link.send(Kind.OUTCOMES, b"fresh", 1, 3)
    stmgr.wait(lambda: source.of_kind(Kind.OUTCOMES), "an outcome")
    assert source.of_kind(Kind.OUTCOMES) == [(1, 3, b"fresh")]
    again = stmgr.join("split-3", 3, incarnation=1)
    stmgr.wait(lambda: ErrorCode.STALE_INCARNATION in again.refusals(), "a refusal")


@pytest.mark.parametrize(
    ("process", "tasks", "hello", "code"),
    [
        ("line-1", (1,), {"token": "0" * 64}, ErrorCode.TOKEN),
        ("line-1", (1, 2), {}, ErrorCode.TASK),
        ("line-2", (2,), {}, ErrorCode.TASK),
        ("line-1", (1,), {"protocol_version": 2}, ErrorCode.VERSION),
        ("client-00000000", (), {"role": Role.CLIENT}, ErrorCode.TASK),
    ],
)
def test_refuses_who_does_not_belong(
    stmgr: Stmgr, process: str, tasks: tuple[int, ...], hello: dict[str, Any], code: ErrorCode
) -> None:
    stranger = stmgr.join(process, *tasks, **hello)
    stmgr.wait(lambda: code in stranger.refusals(), f"{code.name}")


def test_bad_frames_are_answered_and_disturb_nobody(stmgr: Stmgr) -> None:
    good = stmgr.join("line-1", 1)
    stmgr.wait(joined(good), "the good instance")
    token = process_token(SECRET, TOPOLOGY_ID, "split-3", 1)
    hello = encode_hello(Hello(TOPOLOGY_ID, Role.INSTANCE, "split-3", 1, 1, token, (3,)))
    header = HEADER.pack(PROTOCOL_VERSION, Kind.HELLO, 0, 0, 0, 0, 0)
    wrong: list[tuple[list[bytes], ErrorCode]] = [
        ([b""], ErrorCode.MALFORMED),
        ([b"x" * 24], ErrorCode.MALFORMED),
        ([header[:23], hello], ErrorCode.MALFORMED),
        ([header, hello, b"more"], ErrorCode.MALFORMED),
        ([header, hello[:9]], ErrorCode.MALFORMED),
        ([HEADER.pack(9, Kind.HELLO, 0, 0, 0, 0, 0), hello], ErrorCode.VERSION),
        ([HEADER.pack(1, Kind.DATA, 0, 0, 3, 1, 1), b"data"], ErrorCode.NO_HELLO),
    ]
    for parts, code in wrong:
        socket = dealer(stmgr.context)
        socket.connect(stmgr.endpoint)
        socket.send_multipart(parts)
        stmgr.wait(lambda socket=socket: socket.poll(0), f"an answer to {parts}")
        answer, payload = socket.recv_multipart()
        assert HEADER.unpack(answer)[1] == Kind.ERROR
        assert decode_error(payload)[0] is code
        socket.close(0)
    rogue = stmgr.join("split-3", 3)
    stmgr.wait(joined(rogue), "an instance that will send nonsense")
    rogue.link.send(99, b"")
    stmgr.wait(lambda: ErrorCode.KIND in rogue.refusals(), "a refusal of the kind")
    assert good.link.up
    assert LinkEventKind.ENDED not in [event.kind for event in good.events]


def test_a_plan_of_an_older_leader_is_not_taken(stmgr: Stmgr) -> None:
    instance = stmgr.join("line-1", 1)
    stmgr.push_plan(plan_epoch=5, leader_epoch=2)
    stmgr.wait(lambda: len(instance.of_kind(Kind.PLAN)) == 1, "the plan")
    stmgr.push_plan(plan_epoch=9, leader_epoch=1)
    stmgr.push_plan(plan_epoch=6, leader_epoch=2)
    stmgr.wait(lambda: len(instance.of_kind(Kind.PLAN)) == 2, "the newer plan only")
