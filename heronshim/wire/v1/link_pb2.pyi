from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
ERROR_CODE_CREDIT: ErrorCode
ERROR_CODE_FENCED: ErrorCode
ERROR_CODE_INTERNAL: ErrorCode
ERROR_CODE_KIND: ErrorCode
ERROR_CODE_MALFORMED: ErrorCode
ERROR_CODE_NOT_FOUND: ErrorCode
ERROR_CODE_NO_HELLO: ErrorCode
ERROR_CODE_REFUSED: ErrorCode
ERROR_CODE_STALE_INCARNATION: ErrorCode
ERROR_CODE_TASK: ErrorCode
ERROR_CODE_TOKEN: ErrorCode
ERROR_CODE_TOO_LARGE: ErrorCode
ERROR_CODE_TOPOLOGY: ErrorCode
ERROR_CODE_UNSPECIFIED: ErrorCode
ERROR_CODE_VALUE: ErrorCode
ERROR_CODE_VERSION: ErrorCode
ROLE_CLIENT: Role
ROLE_INSTANCE: Role
ROLE_METRICSMGR: Role
ROLE_STMGR: Role
ROLE_TMASTER: Role
ROLE_UNSPECIFIED: Role

class BackPressure(_message.Message):
    __slots__ = ["active", "duration_ms", "task"]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    active: bool
    duration_ms: int
    task: int
    def __init__(self, task: _Optional[int] = ..., active: bool = ..., duration_ms: _Optional[int] = ...) -> None: ...

class Barrier(_message.Message):
    __slots__ = ["checkpoint", "recovery_epoch"]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    checkpoint: int
    recovery_epoch: int
    def __init__(self, checkpoint: _Optional[int] = ..., recovery_epoch: _Optional[int] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ["last_received", "last_sequence", "reason"]
    LAST_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    last_received: int
    last_sequence: int
    reason: str
    def __init__(self, last_sequence: _Optional[int] = ..., reason: _Optional[str] = ..., last_received: _Optional[int] = ...) -> None: ...

class ByeAck(_message.Message):
    __slots__ = ["last_sequence"]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    last_sequence: int
    def __init__(self, last_sequence: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ["bytes", "tasks"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    bytes: _containers.RepeatedScalarFieldContainer[int]
    tasks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tasks: _Optional[_Iterable[int]] = ..., bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class CreditRequest(_message.Message):
    __slots__ = ["bytes", "tasks"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    bytes: _containers.RepeatedScalarFieldContainer[int]
    tasks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tasks: _Optional[_Iterable[int]] = ..., bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ["code", "message", "retryable"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: ErrorCode
    message: str
    retryable: bool
    def __init__(self, code: _Optional[_Union[ErrorCode, str]] = ..., message: _Optional[str] = ..., retryable: bool = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ["attempt", "container", "incarnation", "pid", "process", "protocol_version", "role", "tasks", "token", "topology_id"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_ID_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    container: int
    incarnation: int
    pid: int
    process: str
    protocol_version: int
    role: Role
    tasks: _containers.RepeatedScalarFieldContainer[int]
    token: str
    topology_id: str
    def __init__(self, protocol_version: _Optional[int] = ..., topology_id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., process: _Optional[str] = ..., tasks: _Optional[_Iterable[int]] = ..., incarnation: _Optional[int] = ..., attempt: _Optional[int] = ..., token: _Optional[str] = ..., pid: _Optional[int] = ..., container: _Optional[int] = ...) -> None: ...

class HelloAck(_message.Message):
    __slots__ = ["frame_bytes_max", "heartbeat_ms", "protocol_version"]
    FRAME_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    frame_bytes_max: int
    heartbeat_ms: int
    protocol_version: int
    def __init__(self, protocol_version: _Optional[int] = ..., frame_bytes_max: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ...) -> None: ...

class LinkHeartbeat(_message.Message):
    __slots__ = ["last_sequence"]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    last_sequence: int
    def __init__(self, last_sequence: _Optional[int] = ...) -> None: ...

class LoadReport(_message.Message):
    __slots__ = ["drain_rate", "queue_bytes", "task"]
    DRAIN_RATE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    drain_rate: int
    queue_bytes: int
    task: int
    def __init__(self, task: _Optional[int] = ..., queue_bytes: _Optional[int] = ..., drain_rate: _Optional[int] = ...) -> None: ...

class LossNotice(_message.Message):
    __slots__ = ["cause", "destinations", "id", "sources"]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    cause: str
    destinations: _containers.RepeatedScalarFieldContainer[int]
    id: str
    sources: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[str] = ..., sources: _Optional[_Iterable[int]] = ..., destinations: _Optional[_Iterable[int]] = ..., cause: _Optional[str] = ...) -> None: ...

class LossNoticeAck(_message.Message):
    __slots__ = ["id"]
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
