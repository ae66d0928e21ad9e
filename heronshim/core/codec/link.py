"""Control messages of a link <-> bytes. Damaged bytes are the peer's fault: RemoteProtocolError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.codec.reading import parse
from heronshim.core.stream.backpressure import BackPressure
from heronshim.core.stream.frame import CONTROL_BYTES_MAX
from heronshim.core.stream.link import Bye, Hello, Role
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode, RemoteProtocolError
from heronshim.wire.v1 import link_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTICE_ID_CHARACTERS_MAX = 200


def encode_hello(hello: Hello) -> bytes:
    """Return a Hello's payload."""
    return link_pb2.Hello(
        protocol_version=hello.protocol_version,
        topology_id=hello.topology_id,
        role=hello.role.value,  # type: ignore[arg-type]
        process=hello.process,
        tasks=hello.tasks,
        incarnation=hello.incarnation,
        attempt=hello.attempt,
        token=hello.token,
        pid=hello.pid,
        container=hello.container,
    ).SerializeToString()


def decode_hello(payload: bytes | memoryview) -> Hello:
    """Return what a Hello says.

    Raises:
        RemoteProtocolError: it is damaged, or its role is unknown.
    """
    message = parse(link_pb2.Hello, payload, CONTROL_BYTES_MAX)
    try:
        role = Role(message.role)
    except ValueError as error:
        msg = f"Hello.role is {message.role}; expected 1 to 5"
        raise RemoteProtocolError(msg) from error
    return Hello(
        topology_id=message.topology_id,
        role=role,
        process=message.process,
        incarnation=message.incarnation,
        attempt=message.attempt,
        token=message.token,
        tasks=tuple(message.tasks),
        pid=message.pid,
        container=message.container,
        protocol_version=message.protocol_version,
    )


def encode_hello_ack(frame_bytes_max: int, heartbeat_ms: int) -> bytes:
    """Return a HelloAck's payload."""
    return link_pb2.HelloAck(
        protocol_version=1, frame_bytes_max=frame_bytes_max, heartbeat_ms=heartbeat_ms
    ).SerializeToString()


def encode_error(code: ErrorCode, message: str, *, retryable: bool = False) -> bytes:
    """Return an Error's payload."""
    return link_pb2.Error(
        code=code.value,  # type: ignore[arg-type]
        message=message,
        retryable=retryable,
    ).SerializeToString()


def decode_error(payload: bytes | memoryview) -> tuple[ErrorCode, str, bool]:
    """Return (code, message, retryable); an unknown code reads as INTERNAL."""
    message = parse(link_pb2.Error, payload, CONTROL_BYTES_MAX)
    try:
        code = ErrorCode(message.code)
    except ValueError:
        code = ErrorCode.INTERNAL
    return code, message.message, message.retryable


def encode_credit(grants: Mapping[int, int]) -> bytes:
    """Return a Credit's payload: task -> bytes."""
    tasks = sorted(grants)
    return link_pb2.Credit(tasks=tasks, bytes=[grants[task] for task in tasks]).SerializeToString()


def decode_credit(payload: bytes | memoryview) -> list[tuple[int, int]]:
    """Return (task, bytes) pairs.

    Raises:
        RemoteProtocolError: it is damaged, or its columns differ in length.
    """
    message = parse(link_pb2.Credit, payload, CONTROL_BYTES_MAX)
    if len(message.tasks) != len(message.bytes):
        msg = f"Credit has {len(message.tasks)} tasks and {len(message.bytes)} byte counts"
        raise RemoteProtocolError(msg)
    return list(zip(message.tasks, message.bytes, strict=True))


def encode_credit_request(wanted: Mapping[int, int]) -> bytes:
    """Return a CreditRequest's payload: task -> cost of the first frame that waits for it."""
    tasks = sorted(wanted)
    return link_pb2.CreditRequest(
        tasks=tasks, bytes=[wanted[task] for task in tasks]
    ).SerializeToString()


def decode_credit_request(payload: bytes | memoryview) -> list[tuple[int, int]]:
    """Return (task, bytes) pairs.

    Raises:
        RemoteProtocolError: it is damaged, or its columns differ in length.
    """
    message = parse(link_pb2.CreditRequest, payload, CONTROL_BYTES_MAX)
    if len(message.tasks) != len(message.bytes):
        msg = f"CreditRequest has {len(message.tasks)} tasks and {len(message.bytes)} byte counts"
        raise RemoteProtocolError(msg)
    return list(zip(message.tasks, message.bytes, strict=True))


def encode_heartbeat(last_sequence: int) -> bytes:
    """Return a LinkHeartbeat's payload."""
    return link_pb2.LinkHeartbeat(last_sequence=last_sequence).SerializeToString()


def decode_heartbeat(payload: bytes | memoryview) -> int:
    """Return the sequence number of the last frame the peer sent before."""
    return parse(link_pb2.LinkHeartbeat, payload, CONTROL_BYTES_MAX).last_sequence


def encode_bye(bye: Bye) -> bytes:
    """Return a Bye's payload."""
    return link_pb2.Bye(
        last_sequence=bye.last_sequence, reason=bye.reason, last_received=bye.last_received
    ).SerializeToString()


def decode_bye(payload: bytes | memoryview) -> Bye:
    """Return what a Bye says.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    message = parse(link_pb2.Bye, payload, CONTROL_BYTES_MAX)
    return Bye(message.last_sequence, message.last_received, message.reason)


def encode_bye_ack(last_sequence: int) -> bytes:
    """Return a ByeAck's payload."""
    return link_pb2.ByeAck(last_sequence=last_sequence).SerializeToString()


def decode_bye_ack(payload: bytes | memoryview) -> int:
    """Return the sequence number of the last frame that the peer received.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    return parse(link_pb2.ByeAck, payload, CONTROL_BYTES_MAX).last_sequence


def encode_loss_notice(notice: LossNotice) -> bytes:
    """Return a LossNotice's payload."""
    return link_pb2.LossNotice(
        id=notice.id,
        sources=notice.sources,
        destinations=notice.destinations,
        cause=notice.cause,
    ).SerializeToString()


def decode_loss_notice(payload: bytes | memoryview) -> LossNotice:
    """Return what a LossNotice says.

    Raises:
        RemoteProtocolError: it is damaged, or has no id.
    """
    message = parse(link_pb2.LossNotice, payload, CONTROL_BYTES_MAX)
    return LossNotice(
        _notice_id(message.id),
        tuple(message.sources),
        tuple(message.destinations),
        message.cause,
    )


def encode_loss_notice_ack(id_: str) -> bytes:
    """Return a LossNoticeAck's payload."""
    return link_pb2.LossNoticeAck(id=id_).SerializeToString()


def decode_loss_notice_ack(payload: bytes | memoryview) -> str:
    """Return the id of the notice that arrived.

    Raises:
        RemoteProtocolError: it is damaged, or has no id.
    """
    return _notice_id(parse(link_pb2.LossNoticeAck, payload, CONTROL_BYTES_MAX).id)


def encode_back_pressure(said: BackPressure) -> bytes:
    """Return a BackPressure's payload."""
    return link_pb2.BackPressure(
        task=said.task, active=said.active, duration_ms=said.duration_ms
    ).SerializeToString()


def decode_back_pressure(payload: bytes | memoryview) -> BackPressure:
    """Return what a BackPressure says.

    Raises:
        RemoteProtocolError: it is damaged, or names no task.
    """
    message = parse(link_pb2.BackPressure, payload, CONTROL_BYTES_MAX)
    if message.task < 1:
        msg = f"BackPressure.task is {message.task}; expected 1 or more"
        raise RemoteProtocolError(msg)
    return BackPressure(message.task, message.active, message.duration_ms)


def _notice_id(id_: str) -> str:
    if not 0 < len(id_) <= NOTICE_ID_CHARACTERS_MAX:
        msg = f"id of a loss notice has {len(id_)} characters; expected 1 to 200"
        raise RemoteProtocolError(msg)
    return id_
