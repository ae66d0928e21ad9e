from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

COMPONENT_KIND_BOLT: ComponentKind
COMPONENT_KIND_SPOUT: ComponentKind
COMPONENT_KIND_UNSPECIFIED: ComponentKind
DESCRIPTOR: _descriptor.FileDescriptor
DIALECT_HERON: Dialect
DIALECT_HERONSHIM: Dialect
DIALECT_STORM: Dialect
DIALECT_UNSPECIFIED: Dialect
GROUPING_KIND_ALL: GroupingKind
GROUPING_KIND_CUSTOM: GroupingKind
GROUPING_KIND_DIRECT: GroupingKind
GROUPING_KIND_FIELDS: GroupingKind
GROUPING_KIND_GLOBAL: GroupingKind
GROUPING_KIND_LOCAL_OR_SHUFFLE: GroupingKind
GROUPING_KIND_NONE: GroupingKind
GROUPING_KIND_PARTIAL_KEY: GroupingKind
GROUPING_KIND_SHUFFLE: GroupingKind
GROUPING_KIND_UNSPECIFIED: GroupingKind
LANGUAGE_CPP: Language
LANGUAGE_JAVA: Language
LANGUAGE_PYTHON: Language
LANGUAGE_SHELL: Language
LANGUAGE_UNSPECIFIED: Language

class Component(_message.Message):
    __slots__ = ["arguments", "id", "inputs", "kind", "language", "object", "options", "outputs", "parallelism", "source", "tasks", "user_config"]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PARALLELISM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    USER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    arguments: bytes
    id: str
    inputs: _containers.RepeatedCompositeFieldContainer[InputStream]
    kind: ComponentKind
    language: Language
    object: str
    options: bytes
    outputs: _containers.RepeatedCompositeFieldContainer[OutputStream]
    parallelism: int
    source: SourceLine
    tasks: int
    user_config: bytes
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[ComponentKind, str]] = ..., language: _Optional[_Union[Language, str]] = ..., object: _Optional[str] = ..., arguments: _Optional[bytes] = ..., parallelism: _Optional[int] = ..., tasks: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[OutputStream, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[InputStream, _Mapping]]] = ..., options: _Optional[bytes] = ..., user_config: _Optional[bytes] = ..., source: _Optional[_Union[SourceLine, _Mapping]] = ...) -> None: ...

class Grouping(_message.Message):
    __slots__ = ["arguments", "fields", "kind", "object"]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    arguments: bytes
    fields: _containers.RepeatedScalarFieldContainer[str]
    kind: GroupingKind
    object: str
    def __init__(self, kind: _Optional[_Union[GroupingKind, str]] = ..., fields: _Optional[_Iterable[str]] = ..., object: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class InputStream(_message.Message):
    __slots__ = ["component", "grouping", "source", "stream"]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    GROUPING_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    component: str
    grouping: Grouping
    source: SourceLine
    stream: str
    def __init__(self, component: _Optional[str] = ..., stream: _Optional[str] = ..., grouping: _Optional[_Union[Grouping, _Mapping]] = ..., source: _Optional[_Union[SourceLine, _Mapping]] = ...) -> None: ...

class OutputStream(_message.Message):
    __slots__ = ["direct", "fields", "id"]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    direct: bool
    fields: _containers.RepeatedScalarFieldContainer[str]
    id: str
    def __init__(self, id: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., direct: bool = ...) -> None: ...

class Phantom(_message.Message):
    __slots__ = ["id", "tasks"]
    ID_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    tasks: int
    def __init__(self, id: _Optional[str] = ..., tasks: _Optional[int] = ...) -> None: ...

class SourceLine(_message.Message):
    __slots__ = ["file", "line"]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class Topology(_message.Message):
    __slots__ = ["components", "dialect", "id", "name", "options", "phantoms", "user_config"]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PHANTOMS_FIELD_NUMBER: _ClassVar[int]
    USER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    components: _containers.RepeatedCompositeFieldContainer[Component]
    dialect: Dialect
    id: str
    name: str
    options: bytes
    phantoms: _containers.RepeatedCompositeFieldContainer[Phantom]
    user_config: bytes
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., components: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., options: _Optional[bytes] = ..., user_config: _Optional[bytes] = ..., dialect: _Optional[_Union[Dialect, str]] = ..., phantoms: _Optional[_Iterable[_Union[Phantom, _Mapping]]] = ...) -> None: ...

class Dialect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ComponentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Language(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class GroupingKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
