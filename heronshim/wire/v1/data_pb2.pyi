from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataBatch(_message.Message):
    __slots__ = ["component", "edges", "meta", "root_counts", "roots", "row_count", "rows", "stream"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    ROOT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    component: str
    edges: bytes
    meta: _containers.RepeatedCompositeFieldContainer[RowMeta]
    root_counts: _containers.RepeatedScalarFieldContainer[int]
    roots: bytes
    row_count: int
    rows: bytes
    stream: str
    def __init__(self, stream: _Optional[str] = ..., row_count: _Optional[int] = ..., rows: _Optional[bytes] = ..., root_counts: _Optional[_Iterable[int]] = ..., roots: _Optional[bytes] = ..., edges: _Optional[bytes] = ..., meta: _Optional[_Iterable[_Union[RowMeta, _Mapping]]] = ..., component: _Optional[str] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ["distinct", "kinds", "roots", "xors"]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    XORS_FIELD_NUMBER: _ClassVar[int]
    distinct: bool
    kinds: bytes
    roots: bytes
    xors: bytes
    def __init__(self, kinds: _Optional[bytes] = ..., roots: _Optional[bytes] = ..., xors: _Optional[bytes] = ..., distinct: bool = ...) -> None: ...

class RowMeta(_message.Message):
    __slots__ = ["row", "trace", "weight"]
    ROW_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    row: int
    trace: bytes
    weight: float
    def __init__(self, row: _Optional[int] = ..., weight: _Optional[float] = ..., trace: _Optional[bytes] = ...) -> None: ...
