"""A TMaster process against stream managers, metrics managers and clients played by the test.

The scheduler is a plugin of the test's own, found by its entry point as a third party's would be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from heronshim.core.codec.link import decode_error, encode_hello
from heronshim.core.codec.master import (
    command_to_bytes,
    heartbeat_to_bytes,
    register_to_bytes,
)
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.codec.plan import physical_plan_from_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.control_client import ControlClient
from heronshim.core.io.dealer_link import DealerLink, LinkEventKind
from heronshim.core.io.sockets import dealer
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token
from heronshim.core.master.messages import (
    Command,
    CommandKind,
    Phase,
    StmgrHeartbeat,
    StmgrRegister,
)
from heronshim.core.plan import physical
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.plan.records import ExecutionState
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.events import EventKind, EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode, HeronshimError, NotFoundError, RefusedError

pytestmark = pytest.mark.system

SECRET = bytes(range(32))
DEADLINE_S = 30.0
SCHEDULER = """
import json, time
from pathlib import Path
from heronshim.errors import SchedulerError

class ScriptedScheduler:
    def __init__(self, launch):
        self.folder = Path(launch.work_dir)
    def note(self, *call):
        with (self.folder / "calls").open("a") as file:
            file.write(json.dumps(call) + "\\n")
    def add_containers(self, plans, launch):
        self.note("add", [plan.id for plan in plans], launch.topology)
    def restart(self, ids, request_id):
        self.note("restart", list(ids), request_id)
        while (self.folder / "hang").exists():
            time.sleep(0.01)
        if (self.folder / "fail").exists():
            raise SchedulerError("the launcher is gone")
"""


class Installation:
    """State, secret, scheduler plugin and TMaster processes of one topology."""

    def __init__(self, folder: Path, plans) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.incarnation = 0
        plugin = folder / "plugin"
        metadata = plugin / "scripted-1.dist-info"
        metadata.mkdir(parents=True)
        (plugin / "scripted_scheduler.py").write_text(SCHEDULER)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(
            "[heronshim.schedulers]\nscripted = scripted_scheduler:ScriptedScheduler\n"
        )
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET.hex())
        state = folder / "state"
        state.mkdir(mode=0o700)
        self.launch = Launch(
            topology="words",
            topology_id="words-1",
            work_dir=str(folder),
            socket_dir=str(folder),
            secret_path=str(secret),
            python=sys.executable,
            state_manager="file",
            state_options={"root": str(state)},
            scheduler="scripted",
        )
        self.manager = FileStateManager(self.launch.state_options)
        self.state = TopologyNodes(self.manager, "words")
        self.state.create(
            plans.topology, plans.packing, ExecutionState("words", "words-1", 1, "me", "scripted")
        )

    def start(self, name: str = "m") -> subprocess.Popen[bytes]:
        """Start a TMaster that listens on the socket of that name."""
        self.incarnation += 1
        start = ChildStart(
            self.launch,
            0,
            "tmaster",
            self.incarnation,
            process_token(SECRET, "words-1", "tmaster", self.incarnation),
            self.endpoint(name),
            None,
        )
        with (self.folder / f"log-{self.incarnation}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "heronshim.core.daemons.tmaster"],
                stdin=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(self.folder / "plugin")},
            )
        self.processes.append(process)
        process.stdin.write(start.to_json().encode())
        process.stdin.close()
        return process

    def endpoint(self, name: str = "m") -> str:
        return f"ipc://{self.folder}/{name}"

    def log(self) -> str:
        return "".join(
            (self.folder / f"log-{number}").read_text() for number in range(1, self.incarnation + 1)
        )

    def calls(self) -> list[list[object]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def until(self, done: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited {DEADLINE_S} s for {what}\n{self.log()}")
            time.sleep(0.005)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.manager.close()


class Stmgr:
    """A stream manager of which only the link to the TMaster is real."""

    def __init__(self, context: zmq.Context, endpoint: str, container: int, incarnation: int = 1):
        self.container = container
        self.incarnation = incarnation
        self.plans: list[PhysicalPlan] = []
        self.refusals: list[tuple[ErrorCode, str]] = []
        self.ended = 0
        self.joined = 0
        self.frames = []
        name = f"stmgr-{container}"
        token = process_token(SECRET, "words-1", name, incarnation)
        hello = Hello("words-1", Role.STMGR, name, incarnation, 0, token, container=container)
        self.link = DealerLink(context, hello)
        self.link.connect(endpoint, time.monotonic_ns())

    def turn(self) -> Stmgr:
        """Do what a stream manager does on this link: register when joined, take plans."""
        now_ns = time.monotonic_ns()
        self.link.tick(now_ns)
        while (frame := self.link.receive(now_ns)) is not None:
            self.frames.append(frame)
            if frame.kind == Kind.PLAN:
                self.plans.append(physical_plan_from_bytes(frame.payload.bytes))
        for event in self.link.take_events():
            if event.kind is LinkEventKind.JOINED:
                self.joined += 1
                self.link.send(Kind.STMGR_REGISTER, register_to_bytes(self.registration()))
            elif event.kind is LinkEventKind.REFUSED:
                self.refusals.append((event.code, event.cause))
            elif event.kind is LinkEventKind.ENDED:
                self.ended += 1
        return self

    def registration(self) -> StmgrRegister:
        plan = self.plans[-1] if self.plans else None
        return StmgrRegister(
            self.container,
            "host",
            f"ipc://peer-{self.container}",
            1000 + self.container,
            self.incarnation,
            plan.plan_epoch if plan else 0,
            plan.leader_epoch if plan else 0,
        )

    def beat(self) -> None:
        epoch = self.plans[-1].plan_epoch if self.plans else 0
        tasks = (self.container, self.container + 2)
        beat = StmgrHeartbeat(self.container, epoch, tasks)
        self.link.send(Kind.STMGR_HEARTBEAT, heartbeat_to_bytes(beat))

    def epochs(self) -> list[tuple[int, int]]:
        return [(plan.leader_epoch, plan.plan_epoch) for plan in self.plans]


def have_plans(stmgrs: tuple[Stmgr, ...], count: int) -> bool:
    """Let all of them take their turn; return whether each got that many plans."""
    return min(len(stmgr.turn().plans) for stmgr in stmgrs) == count


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def installed(tmp_path_factory, plans) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("t"), plans)
    yield installation
    installation.close()


@pytest.fixture
def running(installed, context) -> tuple[Stmgr, Stmgr]:
    """Two stream managers with the first plan."""
    installed.start()
    stmgrs = tuple(Stmgr(context, installed.endpoint(), number) for number in (1, 2))
    installed.until(lambda: have_plans(stmgrs, 1), "the first plan")
    return stmgrs


@pytest.fixture
def client(installed) -> Iterator[ControlClient]:
    with ControlClient(installed.endpoint(), "words-1", SECRET, "words") as client:
        yield client


@pytest.fixture
def raw_peer(installed, context) -> Iterator[Callable[[], zmq.Socket]]:
    """Makes sockets without hello that wait for answers as long as a test may."""
    made = []

    def make() -> zmq.Socket:
        made.append(dealer(context))
        made[-1].setsockopt(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        made[-1].connect(installed.endpoint())
        return made[-1]

    yield make
    for socket in made:
        socket.close()


def frame(kind: int, payload: bytes, sequence: int = 0, version: int = PROTOCOL_VERSION):
    return [HEADER.pack(version, kind, 0, 0, 0, 0, sequence), payload]


def hello_bytes(**changes: object) -> bytes:
    values = {"topology_id": "words-1", "role": Role.STMGR, "process": "stmgr-1"}
    values |= {"incarnation": 9, "attempt": 1, "tasks": (), **changes}
    values.setdefault("token", process_token(SECRET, "words-1", values["process"], 9))
    number = str(values["process"]).rpartition("-")[2]
    values.setdefault("container", int(number) if number.isdecimal() else 0)
    return encode_hello(Hello(**values))


def refusal(socket: zmq.Socket) -> ErrorCode:
    """Return the code of the error that comes next but for heartbeats."""
    kind = Kind.HEARTBEAT
    while kind == Kind.HEARTBEAT:
        header, payload = socket.recv_multipart()
        kind = HEADER.unpack(header)[1]
    assert kind == Kind.ERROR
    code, message, _ = decode_error(payload)
    assert message
    return code


def test_stmgrs_register_and_get_the_stored_plan(installed, running, plans):
    assert installed.calls() == [["add", [1, 2], "words"]]
    stored = installed.state.physical_plan()
    assert [stmgr.plans for stmgr in running] == [[stored], [stored]]
    assert (stored.leader_epoch, stored.plan_epoch) == (1, 1)
    assert stored.topology == plans.topology
    assert [(item.id, item.peer_endpoint, item.stmgr_pid) for item in stored.containers] == [
        (1, "ipc://peer-1", 1001),
        (2, "ipc://peer-2", 1002),
    ]
    location = installed.state.tmaster()
    assert location.pid == installed.processes[0].pid
    assert (location.endpoint, location.leader_epoch) == (installed.endpoint(), 1)


def test_heartbeat_is_answered_and_shown_in_the_status(installed, running, client):
    running[0].beat()
    status = None

    def joined() -> bool:
        nonlocal status
        status = client.ask(CommandKind.STATUS, DEADLINE_S).status
        return bool(status.joined_tasks)

    installed.until(joined, "the heartbeat")
    assert (status.phase, status.absent_containers) == (Phase.RUNNING, ())
    assert (status.joined_tasks, status.task_count) == ((1, 3), 4)
    assert status.plan == running[0].plans[-1]


def test_stmgr_whose_socket_closes_is_absent_and_the_other_keeps_its_link(
    installed, running, client
):
    running[1].link.close("gone", time.monotonic_ns())

    def absent() -> bool:
        running[0].turn()
        return client.ask(CommandKind.STATUS, DEADLINE_S).status.absent_containers == (2,)

    installed.until(absent, "the absence")
    assert running[0].ended == 0
    assert running[0].epochs() == [(1, 1)]


def test_deactivate_and_activate_reach_every_stmgr_once(installed, running, client):
    command = Command("r1", CommandKind.DEACTIVATE)
    assert client.call(command, DEADLINE_S).ok
    assert client.call(command, DEADLINE_S).ok
    client.ask(CommandKind.ACTIVATE, DEADLINE_S)
    for stmgr in running:
        installed.until(lambda stmgr=stmgr: len(stmgr.turn().plans) >= 3, "two more plans")
        assert [(plan.plan_epoch, plan.state) for plan in stmgr.plans] == [
            (1, physical.TopologyState.ACTIVE),
            (2, physical.TopologyState.INACTIVE),
            (3, physical.TopologyState.ACTIVE),
        ]


def test_command_is_refused_while_containers_are_absent(installed, client):
    installed.start()
    with pytest.raises(RefusedError, match="waiting for containers 1, 2"):
        client.ask(CommandKind.ACTIVATE, DEADLINE_S)


def test_restart_is_the_schedulers_answer_and_blocks_nobody(installed, running, client):
    (installed.folder / "hang").touch()
    command = Command("r7", CommandKind.RESTART, 2)
    replies = []

    def restart() -> None:
        with ControlClient(installed.endpoint(), "words-1", SECRET) as other:
            replies.append(other.call(command, DEADLINE_S))

    thread = threading.Thread(target=restart)
    thread.start()
    installed.until(lambda: ["restart", [2], "r7"] in installed.calls(), "the order")
    assert client.ask(CommandKind.STATUS, DEADLINE_S).ok
    assert replies == []
    (installed.folder / "hang").unlink()
    thread.join(DEADLINE_S)
    assert [reply.ok for reply in replies] == [True]
    assert client.call(command, DEADLINE_S).ok
    assert installed.calls().count(["restart", [2], "r7"]) == 1
    with pytest.raises(NotFoundError, match="no container 5"):
        client.ask(CommandKind.RESTART, DEADLINE_S, container=5)
    (installed.folder / "fail").touch()
    with pytest.raises(HeronshimError, match="the launcher is gone"):
        client.ask(CommandKind.RESTART, DEADLINE_S)


def test_killed_tmaster_is_followed_by_one_that_keeps_the_placement(installed, running, client):
    client.ask(CommandKind.DEACTIVATE, DEADLINE_S)
    installed.until(lambda: have_plans(running, 2), "epoch 2")
    installed.processes[0].kill()
    installed.processes[0].wait()
    installed.start()
    installed.until(lambda: have_plans(running, 3), "epoch 3")
    old, new = running[0].plans[-2:]
    assert (new.leader_epoch, new.plan_epoch) == (2, 3)
    assert (new.containers, new.state) == (old.containers, physical.TopologyState.INACTIVE)
    assert running[0].plans[-1] == running[1].plans[-1] == installed.state.physical_plan()
    assert ["restart"] not in [call[:1] for call in installed.calls()]
    assert client.ask(CommandKind.STATUS, DEADLINE_S).status.absent_containers == ()


def test_second_tmaster_waits_until_the_first_is_gone(installed, running):
    second = installed.start("other")
    installed.until(lambda: "leader_elsewhere" in installed.log(), "the second one to wait")
    assert installed.state.tmaster().pid == installed.processes[0].pid
    assert not (installed.folder / "other").exists()
    assert second.poll() is None
    installed.processes[0].kill()
    installed.processes[0].wait()
    installed.until(
        lambda: (found := installed.state.tmaster()) is not None and found.leader_epoch == 2,
        "the second one to lead",
    )
    location = installed.state.tmaster()
    assert (location.endpoint, location.pid) == (installed.endpoint("other"), second.pid)


def test_tmaster_that_lost_its_leadership_ends(installed, running):
    installed.processes[0].send_signal(signal.SIGSTOP)
    # What a lapsed lease and another leader leave behind for the first one to find.
    manager = installed.manager
    manager.delete("/topologies/words/tmaster")
    assert manager.become_leader("/topologies/words/tmaster", b"another").epoch == 2
    installed.processes[0].send_signal(signal.SIGCONT)
    late = Stmgr(running[0].link._context, installed.endpoint(), 2, incarnation=5)
    installed.until(lambda: (late.turn(), installed.processes[0].poll())[1] is not None, "the end")
    assert installed.processes[0].returncode == 1
    assert "stepped_down" in installed.log()
    assert late.plans == []
    late.link.close("done", time.monotonic_ns())


def test_sigterm_ends_in_good_order_and_frees_the_leaders_node(installed, running):
    installed.processes[0].terminate()
    assert installed.processes[0].wait(DEADLINE_S) == 0
    assert installed.state.tmaster() is None


def test_metrics_of_a_manager_are_answered_and_errors_grouped(installed, running, client, context):
    name = "tmaster-sink-1"
    token = process_token(SECRET, "words-1", name, 1)
    hello = Hello("words-1", Role.METRICSMGR, name, 1, 0, token, container=1)
    link = DealerLink(context, hello)
    link.connect(installed.endpoint(), time.monotonic_ns())
    error = ErrorRecord(1, 1, "line", "boom", "trace", 2, "f")
    record = MetricsRecord(
        "words", "line-1", 1, 5, 1000, 1, 9, (TaskRecord(1, "line", {"ack_count": 4}),),
        errors=(error,),
    )  # fmt: skip

    def sent() -> bool:
        link.tick(time.monotonic_ns())
        link.receive(time.monotonic_ns())
        return link.send(Kind.METRICS, metrics_to_bytes(record))

    installed.until(sent, "the link")
    installed.until(sent, "the second report")
    installed.until(
        lambda: [
            item.sums
            for item in client.ask(CommandKind.METRICS, DEADLINE_S, component="line").metrics.tasks
        ] == [{"ack_count": 8}],
        "both reports",
    )  # fmt: skip
    (found,) = client.ask(CommandKind.ERRORS, DEADLINE_S).errors
    assert (found.fingerprint, found.count) == ("f", 4)
    link.close("done", time.monotonic_ns())


def test_own_metrics_go_to_the_metrics_manager_of_its_container(installed, running, context):
    name = "metricsmgr-0"
    token = process_token(SECRET, "words-1", name, 1)
    link = DealerLink(context, Hello("words-1", Role.METRICSMGR, name, 1, 0, token, tasks=(-2,)))
    link.connect(installed.endpoint(), time.monotonic_ns())
    found = []

    def received() -> bool:
        link.tick(time.monotonic_ns())
        if (got := link.receive(time.monotonic_ns())) is not None:
            found.append((got.kind, got.destination))
        return bool(found)

    installed.until(received, "a report")
    assert found == [(Kind.METRICS, -2)]
    link.close("done", time.monotonic_ns())


def test_history_is_answered_and_goes_to_the_metrics_manager(installed, running, client, context):
    assert client.ask(CommandKind.DEACTIVATE, DEADLINE_S).ok
    kinds = [EventKind.LEADER_TAKEN, EventKind.STMGR_REGISTERED, EventKind.STMGR_REGISTERED,
             EventKind.PLAN_STORED, EventKind.COMMAND_TAKEN, EventKind.PLAN_STORED]  # fmt: skip

    def history() -> tuple[EventRecord, ...]:
        return client.ask(CommandKind.EVENTS, DEADLINE_S).events

    assert sorted(event.kind for event in history()) == sorted(kinds)
    (leader,) = (event for event in history() if event.kind == EventKind.LEADER_TAKEN)
    assert (leader.process, leader.container) == ("tmaster", 0)
    assert leader.numbers == {"leader_epoch": 1, "pid": installed.processes[0].pid}
    (*_, plan) = history()
    assert (plan.cause, plan.numbers["plan_epoch"], plan.numbers["tasks"]) == ("inactive", 2, 4)
    (command,) = (event for event in history() if event.kind == EventKind.COMMAND_TAKEN)
    assert command.cause == "deactivate"
    later = client.call(Command("r", CommandKind.EVENTS, since_ms=plan.time_ms), DEADLINE_S).events
    assert later[-1] == plan
    assert leader not in later or leader.time_ms == plan.time_ms
    name = "metricsmgr-0"
    token = process_token(SECRET, "words-1", name, 1)
    link = DealerLink(context, Hello("words-1", Role.METRICSMGR, name, 1, 0, token, tasks=(-2,)))
    link.connect(installed.endpoint(), time.monotonic_ns())
    told: list[EventRecord] = []

    def received() -> bool:
        link.tick(time.monotonic_ns())
        while (got := link.receive(time.monotonic_ns())) is not None:
            told.extend(metrics_from_bytes(got.payload.bytes, "words").events)
        return len(told) >= len(kinds)

    installed.until(received, "the history")
    assert sorted(told, key=lambda event: event.id) == sorted(history(), key=lambda event: event.id)
    link.close("done", time.monotonic_ns())


WRONG_HELLOS = [
    ({"token": "0" * 64}, ErrorCode.TOKEN),
    ({"token": ""}, ErrorCode.TOKEN),
    ({"incarnation": 10}, ErrorCode.TOKEN),
    ({"topology_id": "other-1"}, ErrorCode.TOPOLOGY),
    ({"protocol_version": 2}, ErrorCode.VERSION),
    ({"role": Role.INSTANCE, "process": "line-1"}, ErrorCode.TASK),
    ({"process": "stmgr-0"}, ErrorCode.TASK),
    ({"process": "client-00000000"}, ErrorCode.TASK),
    ({"tasks": (1,)}, ErrorCode.TASK),
]


def test_wrong_hello_is_refused_and_ends_no_other_link(running, raw_peer):
    for changes, code in WRONG_HELLOS:
        socket = raw_peer()
        socket.send_multipart(frame(Kind.HELLO, hello_bytes(**changes)))
        assert refusal(socket) is code, changes
    assert running[0].turn().ended == 0
    assert running[0].link.up


def test_bad_frames_are_answered_counted_and_disturb_nobody(installed, running, client, raw_peer):
    socket = raw_peer()
    malformed = [
        ([b"x"], ErrorCode.MALFORMED),
        ([b"short", b"x"], ErrorCode.MALFORMED),
        ([*frame(Kind.HELLO, b""), b"third"], ErrorCode.MALFORMED),
        (frame(Kind.HELLO, b"\xff\xff\xff"), ErrorCode.MALFORMED),
        (frame(Kind.HELLO, hello_bytes(), version=9), ErrorCode.VERSION),
        (frame(Kind.DATA, b"before hello", 1), ErrorCode.NO_HELLO),
        (frame(Kind.COMMAND, command_to_bytes(Command("r", CommandKind.STATUS)), 1),
         ErrorCode.NO_HELLO),
    ]  # fmt: skip
    for parts, code in malformed:
        socket.send_multipart(parts)
        assert refusal(socket) is code
    after_hello = [
        (frame(Kind.STMGR_REGISTER, b"\xff", 1), ErrorCode.MALFORMED),
        (frame(Kind.STMGR_REGISTER, register_to_bytes(running[0].registration()), 1),
         ErrorCode.MALFORMED),
        (frame(Kind.DATA, b"x", 1), ErrorCode.KIND),
        (frame(99, b"x", 1), ErrorCode.KIND),
        (frame(Kind.COMMAND, b"", 1), ErrorCode.KIND),
        (frame(Kind.STMGR_HEARTBEAT, heartbeat_to_bytes(StmgrHeartbeat(3, 1)), 1),
         ErrorCode.REFUSED),
    ]  # fmt: skip
    for number, (parts, code) in enumerate(after_hello, 1):
        hello = hello_bytes(process="stmgr-3", attempt=number)
        socket = raw_peer()
        socket.send_multipart(frame(Kind.HELLO, hello))
        assert HEADER.unpack(socket.recv_multipart()[0])[1] == Kind.HELLO_ACK
        socket.send_multipart(parts)
        assert refusal(socket) is code
    status = client.ask(CommandKind.STATUS, DEADLINE_S).status
    assert (status.absent_containers, status.plan.plan_epoch) == ((), 1)
    assert [stmgr.turn().ended for stmgr in running] == [0, 0]

    def counted() -> dict[str, float]:
        processes = client.ask(CommandKind.METRICS, DEADLINE_S).metrics.processes
        return {key: value for item in processes for key, value in item.sums.items()}

    installed.until(lambda: counted().get("bad_frame_count") == 10, f"the count: {counted()}")
    assert counted()["refused_hello_count"] == 1
    assert counted()["stale_frame_count"] == 2


def test_start_line_that_is_none_ends_with_a_clear_error(installed):
    process = subprocess.run(
        [sys.executable, "-m", "heronshim.core.daemons.tmaster"],
        input=b"",
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert process.returncode == 1
    assert b"no start line on standard input" in process.stderr
    assert b"Traceback" not in process.stderr


def test_start_from_a_file_that_lacks_a_field_names_it(tmp_path):
    start = tmp_path / "start.json"
    start.write_text('{"container": 0}')
    process = subprocess.run(
        [sys.executable, "-m", "heronshim.core.daemons.tmaster", str(start)],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert process.returncode == 1
    assert b"start line: field" in process.stderr
