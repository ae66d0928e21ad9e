"""The records beside the plans as protobuf: execution state and TMaster location."""

from __future__ import annotations

from heronshim.core.codec.plan import STATES
from heronshim.core.codec.reading import parse, required_text, serialize
from heronshim.core.plan.records import ExecutionState, TMasterLocation
from heronshim.wire.v1 import plan_pb2 as wire


def execution_state_to_bytes(state: ExecutionState) -> bytes:
    """Return an execution state as a serialized wire.v1.ExecutionState.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(
        lambda: wire.ExecutionState(
            name=state.name,
            id=state.id,
            submit_time_s=state.submit_time_s,
            user=state.user,
            scheduler=state.scheduler,
            package_uri=state.package_uri,
            package_sha256=state.package_sha256,
            version=state.version,
            initial_state=STATES.name(state.initial_state),
        ),
        "execution state",
    )


def execution_state_from_bytes(data: bytes) -> ExecutionState:
    """Return the execution state in a serialized wire.v1.ExecutionState.

    Raises:
        RemoteProtocolError: damaged bytes, or a missing or unknown field; names it.
    """
    message = parse(wire.ExecutionState, data)
    return ExecutionState(
        name=required_text(message.name, "ExecutionState.name"),
        id=required_text(message.id, "ExecutionState.id"),
        submit_time_s=message.submit_time_s,
        user=message.user,
        scheduler=required_text(message.scheduler, "ExecutionState.scheduler"),
        package_uri=message.package_uri,
        package_sha256=message.package_sha256,
        version=message.version,
        initial_state=STATES.member(message.initial_state, "ExecutionState.initial_state"),
    )


def tmaster_location_to_bytes(location: TMasterLocation) -> bytes:
    """Return a TMaster's location as a serialized wire.v1.TMasterLocation.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(
        lambda: wire.TMasterLocation(
            host=location.host,
            endpoint=location.endpoint,
            pid=location.pid,
            leader_epoch=location.leader_epoch,
        ),
        "TMaster location",
    )


def tmaster_location_from_bytes(data: bytes) -> TMasterLocation:
    """Return the location in a serialized wire.v1.TMasterLocation.

    Raises:
        RemoteProtocolError: damaged bytes or no endpoint.
    """
    message = parse(wire.TMasterLocation, data)
    return TMasterLocation(
        host=message.host,
        endpoint=required_text(message.endpoint, "TMasterLocation.endpoint"),
        pid=message.pid,
        leader_epoch=message.leader_epoch,
    )
