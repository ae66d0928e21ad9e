from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
MERGE_LAST: Merge
MERGE_MAX: Merge
MERGE_SUM: Merge
MERGE_UNSPECIFIED: Merge

class ErrorReport(_message.Message):
    __slots__ = ["component", "count", "detail", "fingerprint", "first_ms", "host", "in_hand", "message", "process", "task", "time_ms"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    FIRST_MS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    IN_HAND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    component: str
    count: int
    detail: str
    fingerprint: str
    first_ms: int
    host: str
    in_hand: str
    message: str
    process: str
    task: int
    time_ms: int
    def __init__(self, time_ms: _Optional[int] = ..., task: _Optional[int] = ..., component: _Optional[str] = ..., message: _Optional[str] = ..., detail: _Optional[str] = ..., count: _Optional[int] = ..., fingerprint: _Optional[str] = ..., first_ms: _Optional[int] = ..., in_hand: _Optional[str] = ..., process: _Optional[str] = ..., host: _Optional[str] = ...) -> None: ...

class EventReport(_message.Message):
    __slots__ = ["cause", "component", "container", "detail", "host", "id", "kind", "numbers", "process", "task", "time_ms"]
    class NumbersEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    cause: str
    component: str
    container: int
    detail: str
    host: str
    id: str
    kind: str
    numbers: _containers.ScalarMap[str, float]
    process: str
    task: int
    time_ms: int
    def __init__(self, id: _Optional[str] = ..., time_ms: _Optional[int] = ..., kind: _Optional[str] = ..., process: _Optional[str] = ..., container: _Optional[int] = ..., host: _Optional[str] = ..., component: _Optional[str] = ..., task: _Optional[int] = ..., cause: _Optional[str] = ..., detail: _Optional[str] = ..., numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ["buckets", "counts", "name"]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedScalarFieldContainer[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    name: str
    def __init__(self, name: _Optional[str] = ..., buckets: _Optional[_Iterable[int]] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class MetricsReport(_message.Message):
    __slots__ = ["container", "errors", "events", "incarnation", "interval_ms", "pid", "process", "tasks", "time_ms", "values"]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    container: int
    errors: _containers.RepeatedCompositeFieldContainer[ErrorReport]
    events: _containers.RepeatedCompositeFieldContainer[EventReport]
    incarnation: int
    interval_ms: int
    pid: int
    process: str
    tasks: _containers.RepeatedCompositeFieldContainer[TaskMetrics]
    time_ms: int
    values: _containers.RepeatedCompositeFieldContainer[NamedValue]
    def __init__(self, process: _Optional[str] = ..., container: _Optional[int] = ..., time_ms: _Optional[int] = ..., interval_ms: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[TaskMetrics, _Mapping]]] = ..., values: _Optional[_Iterable[_Union[NamedValue, _Mapping]]] = ..., errors: _Optional[_Iterable[_Union[ErrorReport, _Mapping]]] = ..., incarnation: _Optional[int] = ..., pid: _Optional[int] = ..., events: _Optional[_Iterable[_Union[EventReport, _Mapping]]] = ...) -> None: ...

class NamedValue(_message.Message):
    __slots__ = ["merge", "name", "value"]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    merge: Merge
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., merge: _Optional[_Union[Merge, str]] = ...) -> None: ...

class TaskMetrics(_message.Message):
    __slots__ = ["component", "histograms", "task", "values"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAMS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    component: str
    histograms: _containers.RepeatedCompositeFieldContainer[Histogram]
    task: int
    values: _containers.RepeatedCompositeFieldContainer[NamedValue]
    def __init__(self, task: _Optional[int] = ..., component: _Optional[str] = ..., values: _Optional[_Iterable[_Union[NamedValue, _Mapping]]] = ..., histograms: _Optional[_Iterable[_Union[Histogram, _Mapping]]] = ...) -> None: ...

class Merge(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
