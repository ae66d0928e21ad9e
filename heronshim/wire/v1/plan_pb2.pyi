from heronshim.wire.v1 import topology_pb2 as _topology_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
TOPOLOGY_STATE_ACTIVE: TopologyState
TOPOLOGY_STATE_INACTIVE: TopologyState
TOPOLOGY_STATE_UNSPECIFIED: TopologyState

class ContainerPlan(_message.Message):
    __slots__ = ["id", "processes", "required"]
    ID_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    id: int
    processes: _containers.RepeatedCompositeFieldContainer[ProcessPlan]
    required: Resources
    def __init__(self, id: _Optional[int] = ..., processes: _Optional[_Iterable[_Union[ProcessPlan, _Mapping]]] = ..., required: _Optional[_Union[Resources, _Mapping]] = ...) -> None: ...

class ExecutionState(_message.Message):
    __slots__ = ["id", "initial_state", "name", "package_sha256", "package_uri", "scheduler", "submit_time_s", "user", "version"]
    ID_FIELD_NUMBER: _ClassVar[int]
    INITIAL_STATE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_SHA256_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_URI_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_S_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    initial_state: TopologyState
    name: str
    package_sha256: str
    package_uri: str
    scheduler: str
    submit_time_s: int
    user: str
    version: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., submit_time_s: _Optional[int] = ..., user: _Optional[str] = ..., scheduler: _Optional[str] = ..., package_uri: _Optional[str] = ..., package_sha256: _Optional[str] = ..., version: _Optional[str] = ..., initial_state: _Optional[_Union[TopologyState, str]] = ...) -> None: ...

class ExecutorPlan(_message.Message):
    __slots__ = ["tasks"]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tasks: _Optional[_Iterable[int]] = ...) -> None: ...

class PackingPlan(_message.Message):
    __slots__ = ["algorithm", "containers", "highest_task", "version"]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_TASK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    algorithm: str
    containers: _containers.RepeatedCompositeFieldContainer[ContainerPlan]
    highest_task: int
    version: int
    def __init__(self, version: _Optional[int] = ..., containers: _Optional[_Iterable[_Union[ContainerPlan, _Mapping]]] = ..., algorithm: _Optional[str] = ..., highest_task: _Optional[int] = ...) -> None: ...

class PhysicalContainer(_message.Message):
    __slots__ = ["host", "id", "peer_endpoint", "processes", "stmgr_incarnation", "stmgr_pid"]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PEER_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    STMGR_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    STMGR_PID_FIELD_NUMBER: _ClassVar[int]
    host: str
    id: int
    peer_endpoint: str
    processes: _containers.RepeatedCompositeFieldContainer[ProcessPlan]
    stmgr_incarnation: int
    stmgr_pid: int
    def __init__(self, id: _Optional[int] = ..., host: _Optional[str] = ..., peer_endpoint: _Optional[str] = ..., stmgr_pid: _Optional[int] = ..., stmgr_incarnation: _Optional[int] = ..., processes: _Optional[_Iterable[_Union[ProcessPlan, _Mapping]]] = ...) -> None: ...

class PhysicalPlan(_message.Message):
    __slots__ = ["containers", "leader_epoch", "plan_epoch", "recovery_epoch", "state", "topology"]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PLAN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    containers: _containers.RepeatedCompositeFieldContainer[PhysicalContainer]
    leader_epoch: int
    plan_epoch: int
    recovery_epoch: int
    state: TopologyState
    topology: _topology_pb2.Topology
    def __init__(self, plan_epoch: _Optional[int] = ..., leader_epoch: _Optional[int] = ..., recovery_epoch: _Optional[int] = ..., topology: _Optional[_Union[_topology_pb2.Topology, _Mapping]] = ..., containers: _Optional[_Iterable[_Union[PhysicalContainer, _Mapping]]] = ..., state: _Optional[_Union[TopologyState, str]] = ...) -> None: ...

class ProcessPlan(_message.Message):
    __slots__ = ["component", "executors", "id", "required"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    component: str
    executors: _containers.RepeatedCompositeFieldContainer[ExecutorPlan]
    id: str
    required: Resources
    def __init__(self, id: _Optional[str] = ..., component: _Optional[str] = ..., executors: _Optional[_Iterable[_Union[ExecutorPlan, _Mapping]]] = ..., required: _Optional[_Union[Resources, _Mapping]] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ["cpu", "disk_bytes", "ram_bytes"]
    CPU_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    RAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    cpu: float
    disk_bytes: int
    ram_bytes: int
    def __init__(self, cpu: _Optional[float] = ..., ram_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ...) -> None: ...

class TMasterLocation(_message.Message):
    __slots__ = ["endpoint", "host", "leader_epoch", "pid"]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    LEADER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    host: str
    leader_epoch: int
    pid: int
    def __init__(self, host: _Optional[str] = ..., endpoint: _Optional[str] = ..., pid: _Optional[int] = ..., leader_epoch: _Optional[int] = ...) -> None: ...

class TopologyState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
