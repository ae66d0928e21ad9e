"""The TMaster's messages survive the wire; damaged bytes and wrong fields are refused by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.codec.master import (
    command_from_bytes,
    command_to_bytes,
    heartbeat_from_bytes,
    heartbeat_to_bytes,
    register_from_bytes,
    register_to_bytes,
    reply_from_bytes,
    reply_to_bytes,
)
from heronshim.core.master.messages import (
    ALL_CONTAINERS,
    Command,
    CommandKind,
    CommandReply,
    MetricsSnapshot,
    Phase,
    StmgrHeartbeat,
    StmgrRegister,
    TopologyStatus,
)
from heronshim.core.plan.physical import PhysicalContainer, PhysicalPlan, TopologyState
from heronshim.core.spi.events import EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.errors import ErrorCode, RemoteProtocolError
from heronshim.wire.v1 import master_pb2 as wire

texts = st.text(st.characters(codec="utf-8"), max_size=10)
whole = st.integers(0, (1 << 31) - 1)
sets = st.sets(whole, max_size=4).map(lambda found: tuple(sorted(found)))


@given(
    st.builds(
        StmgrRegister,
        container=whole.filter(bool),
        host=texts,
        peer_endpoint=texts.filter(bool),
        pid=whole,
        incarnation=whole,
        plan_epoch=whole,
        leader_epoch=whole,
    )
)
def test_registration_survives_the_wire(register):
    assert register_from_bytes(register_to_bytes(register)) == register


@given(st.builds(StmgrHeartbeat, whole.filter(bool), whole, sets, sets))
def test_heartbeat_survives_the_wire(heartbeat):
    assert heartbeat_from_bytes(heartbeat_to_bytes(heartbeat)) == heartbeat


@given(
    st.builds(
        Command,
        request_id=texts.filter(bool),
        kind=st.sampled_from(CommandKind),
        container=st.one_of(st.just(ALL_CONTAINERS), whole),
        component=texts,
        since_ms=whole,
    )
)
def test_command_survives_the_wire(command):
    assert command_from_bytes(command_to_bytes(command)) == command


def test_full_reply_survives_the_wire(plans):
    containers = tuple(
        PhysicalContainer(item.id, "host", f"ipc://{item.id}", 10, 2, item.processes)
        for item in plans.packing.containers
    )
    plan = PhysicalPlan(3, 2, plans.topology, containers, TopologyState.ACTIVE)
    task = TaskRecord(1, "line", {"ack_count": 2.0}, {"pending": 1.0}, {}, {"h_us": {3: 1}})
    process = MetricsRecord("words", "line-1", 1, 5, 6, 7, 8, sums={"cpu_time_us": 9.0})
    reply = CommandReply(
        request_id="r1",
        ok=False,
        message="why",
        code=ErrorCode.REFUSED,
        status=TopologyStatus(plan, Phase.RUNNING, (2,), (1, 3), 4),
        metrics=MetricsSnapshot(9, (task,), (process,)),
        errors=(ErrorRecord(1, 2, "line", "boom", "trace", 3, "f"),),
        events=(EventRecord("i", 5, "process_died", "line-1", numbers={"pid": 6.0}),),
    )
    assert reply_from_bytes(reply_to_bytes(reply), "words") == reply


def test_short_reply_survives_the_wire():
    waiting = CommandReply("r", ok=True, status=TopologyStatus(None, Phase.WAITING, (1, 2), (), 4))
    assert reply_from_bytes(reply_to_bytes(waiting), "words") == waiting


def test_code_of_a_newer_peer_reads_as_internal():
    data = wire.CommandReply(request_id="r", code=999).SerializeToString()
    assert reply_from_bytes(data, "words").code is ErrorCode.INTERNAL


@pytest.mark.parametrize(
    ("read", "message", "expected"),
    [
        (register_from_bytes, wire.StmgrRegister(peer_endpoint="e"), "StmgrRegister.container"),
        (register_from_bytes, wire.StmgrRegister(container=1), "StmgrRegister.peer_endpoint"),
        (heartbeat_from_bytes, wire.StmgrHeartbeat(), "StmgrHeartbeat.container"),
        (command_from_bytes, wire.Command(kind="COMMAND_KIND_STATUS"), "Command.request_id"),
        (command_from_bytes, wire.Command(request_id="r"), "Command.kind is missing"),
        (command_from_bytes, wire.Command(request_id="r", kind=77), "Command.kind has the unknown"),
        (
            lambda data: reply_from_bytes(data, "words"),
            wire.CommandReply(request_id="r", status=wire.TopologyStatus(phase="x")),
            "TopologyStatus.phase is 'x'; expected one of waiting, running",
        ),
        (
            lambda data: reply_from_bytes(data, "words"),
            wire.CommandReply(),
            "CommandReply.request_id",
        ),
    ],
)
def test_wrong_field_is_refused_by_name(read, message, expected):
    with pytest.raises(RemoteProtocolError, match=expected):
        read(message.SerializeToString())


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (register_from_bytes, "StmgrRegister"),
        (heartbeat_from_bytes, "StmgrHeartbeat"),
        (command_from_bytes, "Command"),
        (lambda data: reply_from_bytes(data, "words"), "CommandReply"),
    ],
)
@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(read, name, data):
    with suppress(RemoteProtocolError):
        read(data)
    with pytest.raises(RemoteProtocolError, match=name):
        read(b"\xff" * 9)
