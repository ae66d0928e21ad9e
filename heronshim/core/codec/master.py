"""Messages of the topology master as protobuf."""

from __future__ import annotations

from heronshim.core.codec.events import event_from_message, event_to_message
from heronshim.core.codec.metrics import (
    error_from_message,
    error_to_message,
    metrics_from_message,
    metrics_to_message,
    task_from_message,
    task_to_message,
)
from heronshim.core.codec.plan import physical_plan_from_message, physical_plan_to_message
from heronshim.core.codec.reading import (
    EnumCodec,
    parse,
    positive,
    required_text,
    serialize,
    short_text,
)
from heronshim.core.master.messages import (
    Command,
    CommandKind,
    CommandReply,
    MetricsSnapshot,
    Phase,
    StmgrHeartbeat,
    StmgrRegister,
    TopologyStatus,
)
from heronshim.core.stream.frame import CONTROL_BYTES_MAX
from heronshim.errors import ErrorCode, RemoteProtocolError
from heronshim.wire.v1 import master_pb2 as wire

_COMMANDS = EnumCodec(CommandKind, wire.CommandKind, "COMMAND_KIND")


def register_to_bytes(register: StmgrRegister) -> bytes:
    """Return a registration as a serialized wire.v1.StmgrRegister.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(
        lambda: wire.StmgrRegister(
            container=register.container,
            host=register.host,
            peer_endpoint=register.peer_endpoint,
            pid=register.pid,
            incarnation=register.incarnation,
            plan_epoch=register.plan_epoch,
            leader_epoch=register.leader_epoch,
        ),
        f"registration of stream manager {register.container}",
    )


def register_from_bytes(data: bytes) -> StmgrRegister:
    """Return the registration in a serialized wire.v1.StmgrRegister.

    Raises:
        RemoteProtocolError: damaged bytes, or no container or endpoint.
    """
    message = parse(wire.StmgrRegister, data, CONTROL_BYTES_MAX)
    return StmgrRegister(
        container=positive(message.container, "StmgrRegister.container"),
        host=message.host,
        peer_endpoint=required_text(message.peer_endpoint, "StmgrRegister.peer_endpoint"),
        pid=message.pid,
        incarnation=message.incarnation,
        plan_epoch=message.plan_epoch,
        leader_epoch=message.leader_epoch,
    )


def heartbeat_to_bytes(heartbeat: StmgrHeartbeat) -> bytes:
    """Return a heartbeat as a serialized wire.v1.StmgrHeartbeat.

    Raises:
        LocalProtocolError: a number does not fit its field.
    """
    return serialize(
        lambda: wire.StmgrHeartbeat(
            container=heartbeat.container,
            plan_epoch=heartbeat.plan_epoch,
            joined_tasks=heartbeat.joined_tasks,
            connected_containers=heartbeat.connected_containers,
            suspected_processes=heartbeat.suspected_processes,
        ),
        f"heartbeat of stream manager {heartbeat.container}",
    )


def heartbeat_from_bytes(data: bytes) -> StmgrHeartbeat:
    """Return the heartbeat in a serialized wire.v1.StmgrHeartbeat.

    Raises:
        RemoteProtocolError: damaged bytes or no container.
    """
    message = parse(wire.StmgrHeartbeat, data, CONTROL_BYTES_MAX)
    return StmgrHeartbeat(
        container=positive(message.container, "StmgrHeartbeat.container"),
        plan_epoch=message.plan_epoch,
        joined_tasks=tuple(sorted(set(message.joined_tasks))),
        connected_containers=tuple(sorted(set(message.connected_containers))),
        suspected_processes=tuple(sorted(set(message.suspected_processes))),
    )


def command_to_bytes(command: Command) -> bytes:
    """Return a command as a serialized wire.v1.Command.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(
        lambda: wire.Command(
            request_id=command.request_id,
            kind=_COMMANDS.name(command.kind),
            container=command.container,
            component=command.component,
            since_ms=command.since_ms,
        ),
        f"command {command.kind}",
    )


def command_from_bytes(data: bytes) -> Command:
    """Return the command in a serialized wire.v1.Command.

    Raises:
        RemoteProtocolError: damaged bytes, no request id or a long one, or an unknown kind.
    """
    message = parse(wire.Command, data, CONTROL_BYTES_MAX)
    return Command(
        request_id=short_text(
            required_text(message.request_id, "Command.request_id"), "Command.request_id"
        ),
        kind=_COMMANDS.member(message.kind, "Command.kind"),
        container=message.container,
        component=message.component,
        since_ms=message.since_ms,
    )


def reply_to_bytes(reply: CommandReply) -> bytes:
    """Return an answer as a serialized wire.v1.CommandReply.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(
        lambda: wire.CommandReply(
            request_id=reply.request_id,
            ok=reply.ok,
            message=reply.message,
            code=reply.code,
            status=None if reply.status is None else _status_to_message(reply.status),
            metrics=None if reply.metrics is None else _snapshot_to_message(reply.metrics),
            errors=[error_to_message(error) for error in reply.errors],
            events=[event_to_message(event) for event in reply.events],
        ),
        f"answer to request {reply.request_id}",
    )


def reply_from_bytes(data: bytes, topology: str) -> CommandReply:
    """Return the answer in a serialized wire.v1.CommandReply of the topology named.

    Raises:
        RemoteProtocolError: damaged bytes, or a missing or unknown field; names it.
    """
    message = parse(wire.CommandReply, data)
    status = metrics = None
    if message.HasField("status"):
        status = _status_from_message(message.status)
    if message.HasField("metrics"):
        metrics = _snapshot_from_message(message.metrics, topology)
    return CommandReply(
        request_id=required_text(message.request_id, "CommandReply.request_id"),
        ok=message.ok,
        message=message.message,
        code=_error_code(message.code),
        status=status,
        metrics=metrics,
        errors=tuple(
            error_from_message(error, f"CommandReply.errors[{index}]")
            for index, error in enumerate(message.errors)
        ),
        events=tuple(
            event_from_message(event, f"CommandReply.events[{index}]")
            for index, event in enumerate(message.events)
        ),
    )


def _status_to_message(status: TopologyStatus) -> wire.TopologyStatus:
    return wire.TopologyStatus(
        plan=None if status.plan is None else physical_plan_to_message(status.plan),
        phase=status.phase.value,
        absent_containers=status.absent_containers,
        joined_tasks=status.joined_tasks,
        task_count=status.task_count,
        suspected_processes=status.suspected_processes,
    )


def _status_from_message(message: wire.TopologyStatus) -> TopologyStatus:
    plan = None
    if message.HasField("plan"):
        plan = physical_plan_from_message(message.plan, "TopologyStatus.plan")
    try:
        phase = Phase(message.phase)
    except ValueError:
        expected = ", ".join(Phase)
        msg = f"TopologyStatus.phase is {message.phase!r}; expected one of {expected}"
        raise RemoteProtocolError(msg) from None
    return TopologyStatus(
        plan=plan,
        phase=phase,
        absent_containers=tuple(message.absent_containers),
        joined_tasks=tuple(message.joined_tasks),
        task_count=message.task_count,
        suspected_processes=tuple(message.suspected_processes),
    )


def _snapshot_to_message(snapshot: MetricsSnapshot) -> wire.MetricsSnapshot:
    return wire.MetricsSnapshot(
        time_ms=snapshot.time_ms,
        tasks=[task_to_message(task) for task in snapshot.tasks],
        processes=[metrics_to_message(process) for process in snapshot.processes],
    )


def _snapshot_from_message(message: wire.MetricsSnapshot, topology: str) -> MetricsSnapshot:
    return MetricsSnapshot(
        time_ms=message.time_ms,
        tasks=tuple(
            task_from_message(task, f"MetricsSnapshot.tasks[{index}]")
            for index, task in enumerate(message.tasks)
        ),
        processes=tuple(
            metrics_from_message(process, topology, f"MetricsSnapshot.processes[{index}]")
            for index, process in enumerate(message.processes)
        ),
    )


def _error_code(number: int) -> ErrorCode:
    """Return the code; one that a newer peer knows reads as INTERNAL."""
    try:
        return ErrorCode(number)
    except ValueError:
        return ErrorCode.INTERNAL
