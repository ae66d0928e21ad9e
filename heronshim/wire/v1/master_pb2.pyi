from heronshim.wire.v1 import metrics_pb2 as _metrics_pb2
from heronshim.wire.v1 import plan_pb2 as _plan_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

COMMAND_KIND_ACTIVATE: CommandKind
COMMAND_KIND_DEACTIVATE: CommandKind
COMMAND_KIND_ERRORS: CommandKind
COMMAND_KIND_EVENTS: CommandKind
COMMAND_KIND_METRICS: CommandKind
COMMAND_KIND_RESTART: CommandKind
COMMAND_KIND_STATUS: CommandKind
COMMAND_KIND_UNSPECIFIED: CommandKind
DESCRIPTOR: _descriptor.FileDescriptor

class Command(_message.Message):
    __slots__ = ["component", "container", "kind", "request_id", "since_ms"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    component: str
    container: int
    kind: CommandKind
    request_id: str
    since_ms: int
    def __init__(self, request_id: _Optional[str] = ..., kind: _Optional[_Union[CommandKind, str]] = ..., container: _Optional[int] = ..., component: _Optional[str] = ..., since_ms: _Optional[int] = ...) -> None: ...

class CommandReply(_message.Message):
    __slots__ = ["code", "errors", "events", "message", "metrics", "ok", "request_id", "status"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    code: int
    errors: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.ErrorReport]
    events: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.EventReport]
    message: str
    metrics: MetricsSnapshot
    ok: bool
    request_id: str
    status: TopologyStatus
    def __init__(self, request_id: _Optional[str] = ..., ok: bool = ..., message: _Optional[str] = ..., code: _Optional[int] = ..., status: _Optional[_Union[TopologyStatus, _Mapping]] = ..., metrics: _Optional[_Union[MetricsSnapshot, _Mapping]] = ..., errors: _Optional[_Iterable[_Union[_metrics_pb2.ErrorReport, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_metrics_pb2.EventReport, _Mapping]]] = ...) -> None: ...

class MetricsSnapshot(_message.Message):
    __slots__ = ["processes", "tasks", "time_ms"]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    processes: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricsReport]
    tasks: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.TaskMetrics]
    time_ms: int
    def __init__(self, time_ms: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[_metrics_pb2.TaskMetrics, _Mapping]]] = ..., processes: _Optional[_Iterable[_Union[_metrics_pb2.MetricsReport, _Mapping]]] = ...) -> None: ...

class StmgrHeartbeat(_message.Message):
    __slots__ = ["connected_containers", "container", "joined_tasks", "plan_epoch", "suspected_processes"]
    CONNECTED_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    JOINED_TASKS_FIELD_NUMBER: _ClassVar[int]
    PLAN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SUSPECTED_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    connected_containers: _containers.RepeatedScalarFieldContainer[int]
    container: int
    joined_tasks: _containers.RepeatedScalarFieldContainer[int]
    plan_epoch: int
    suspected_processes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, container: _Optional[int] = ..., plan_epoch: _Optional[int] = ..., joined_tasks: _Optional[_Iterable[int]] = ..., connected_containers: _Optional[_Iterable[int]] = ..., suspected_processes: _Optional[_Iterable[str]] = ...) -> None: ...

class StmgrRegister(_message.Message):
    __slots__ = ["container", "host", "incarnation", "leader_epoch", "peer_endpoint", "pid", "plan_epoch"]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PEER_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PLAN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    container: int
    host: str
    incarnation: int
    leader_epoch: int
    peer_endpoint: str
    pid: int
    plan_epoch: int
    def __init__(self, container: _Optional[int] = ..., host: _Optional[str] = ..., peer_endpoint: _Optional[str] = ..., pid: _Optional[int] = ..., incarnation: _Optional[int] = ..., plan_epoch: _Optional[int] = ..., leader_epoch: _Optional[int] = ...) -> None: ...

class TopologyStatus(_message.Message):
    __slots__ = ["absent_containers", "joined_tasks", "phase", "plan", "suspected_processes", "task_count"]
    ABSENT_CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    JOINED_TASKS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SUSPECTED_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNT_FIELD_NUMBER: _ClassVar[int]
    absent_containers: _containers.RepeatedScalarFieldContainer[int]
    joined_tasks: _containers.RepeatedScalarFieldContainer[int]
    phase: str
    plan: _plan_pb2.PhysicalPlan
    suspected_processes: _containers.RepeatedScalarFieldContainer[str]
    task_count: int
    def __init__(self, plan: _Optional[_Union[_plan_pb2.PhysicalPlan, _Mapping]] = ..., phase: _Optional[str] = ..., absent_containers: _Optional[_Iterable[int]] = ..., joined_tasks: _Optional[_Iterable[int]] = ..., task_count: _Optional[int] = ..., suspected_processes: _Optional[_Iterable[str]] = ...) -> None: ...

class CommandKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
