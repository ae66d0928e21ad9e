"""Structures of the interface file as bytes of Thrift's binary protocol, and back.

A structure is a dict by field name, without the fields that are absent; an enum is its member's
name; a set is a list; a map is a dict, or a list of pairs where its keys are structures.

Thrift's own reader works on one message in memory. What it does not do is done here: a field of
a wrong type and a missing one are errors, no number can ask for more than the message holds,
depth is bounded, and each error names the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

from heronshim.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from heronshim.storm.interface import Interface, Method, Struct, ValueType

DEPTH_MAX = 64
"""Structures and containers inside one another; a topology has 6 (Thrift's own limit is 64)."""
KEY_CHARACTERS_MAX = 100
"""Shown of a map's key in a path."""
NULL_ARGUMENTS = ("options", "session")
"""Arguments that a client may leave out, as Java's null."""
_FIXED_BYTES = {
    TType.BOOL: 1,
    TType.BYTE: 1,
    TType.I16: 2,
    TType.I32: 4,
    TType.I64: 8,
    TType.DOUBLE: 8,
}

Structure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A message that calls a method."""

    method: str
    sequence: int
    one_way: bool
    body: bytes
    """What follows the message's head: the arguments."""


def read_call(frame: bytes) -> Call:
    """Read the head of a message.

    Raises:
        RemoteProtocolError: this is no call in the strict binary protocol.
    """
    reader = _Reader(frame)
    with reader:
        name, kind, sequence = reader.protocol.readMessageBegin()
    if kind not in (TMessageType.CALL, TMessageType.ONEWAY):
        msg = f"the message is of type {kind}; expected a call"
        raise RemoteProtocolError(msg)
    body = frame[reader.position :]
    return Call(name, sequence, kind == TMessageType.ONEWAY, body)


def read_arguments(call: Call, method: Method) -> Structure:
    """Return the arguments of a call.

    Raises:
        RemoteProtocolError: the bytes are damaged, or an argument is missing that may not be.
    """
    found = struct_from_bytes(call.body, method.arguments, call.method)
    for item in method.arguments.fields.values():
        if item.name not in found and item.name not in NULL_ARGUMENTS:
            msg = f"{call.method}.{item.name} is missing"
            raise RemoteProtocolError(msg)
    return found


def struct_from_bytes(data: bytes, struct: Struct, field: str) -> Structure:
    """Return the structure that `data` holds, and nothing else.

    Raises:
        RemoteProtocolError: the bytes are damaged or a field is missing or of a wrong type.
            Its message begins with `field` and the path below it.
    """
    reader = _Reader(data)
    with reader:
        value = reader.struct(struct, field, DEPTH_MAX)
    if reader.position != len(data):
        msg = f"{field}: {len(data) - reader.position} bytes follow its end"
        raise RemoteProtocolError(msg)
    return value


def struct_to_bytes(value: Structure, struct: Struct) -> bytes:
    """Return a structure as bytes, without a message's head (what Storm's TSerializer writes).

    Raises:
        LocalProtocolError: a required field is missing, or a value does not fit its type.
    """
    protocol = TBinaryProtocol(TMemoryBuffer())
    _write_struct(protocol, value, struct)
    written: bytes = protocol.trans.getvalue()
    return written


def call_to_bytes(method: Method, arguments: Structure, sequence: int = 0) -> bytes:
    """Return a call as a client writes it."""
    return _message(method.name, TMessageType.CALL, sequence, arguments, method.arguments)


def result_to_bytes(call: Call, method: Method, result: Structure) -> bytes:
    """Return the answer to a call: `success`, an exception by its field's name, or nothing."""
    return _message(call.method, TMessageType.REPLY, call.sequence, result, method.result)


def failure_to_bytes(method: str, sequence: int, kind: int, message: str) -> bytes:
    """Return an answer that no declared exception fits; `kind` is TApplicationException's."""
    protocol = TBinaryProtocol(TMemoryBuffer())
    protocol.writeMessageBegin(method, TMessageType.EXCEPTION, sequence)
    TApplicationException(kind, message).write(protocol)
    written: bytes = protocol.trans.getvalue()
    return written


def read_reply(frame: bytes, interface: Interface) -> Structure:
    """Return a method's result from its answer, as a client reads it.

    Raises:
        RemoteProtocolError: the bytes are damaged.
        TApplicationException: the server answered with one.
    """
    reader = _Reader(frame)
    with reader:
        name, kind, _ = reader.protocol.readMessageBegin()
        if kind == TMessageType.EXCEPTION:
            failure = TApplicationException()
            failure.read(reader.protocol)
            raise failure
        return reader.struct(interface.methods[name].result, name, DEPTH_MAX)


class _Reader:
    """Reads one message. As a context manager it turns what Thrift raises into our error."""

    def __init__(self, data: bytes) -> None:
        self._buffer = TMemoryBuffer(data)
        self._size = len(data)
        # No text is longer than the message, and each element takes at least one byte.
        self.protocol = TBinaryProtocol(
            self._buffer,
            strictRead=True,
            string_length_limit=len(data),
            container_length_limit=len(data),
        )
        self._at = "the message"

    @property
    def position(self) -> int:
        """Bytes read so far."""
        found: int = self._buffer.cstringio_buf.tell()
        return found

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, EOFError):
            msg = f"{self._at}: the message ends inside it, after {self._size} bytes"
        elif isinstance(error, UnicodeDecodeError):
            msg = f"{self._at}: byte {error.start} of the text is not UTF-8"
        elif isinstance(error, TProtocolException | TTransportException):
            msg = f"{self._at}: {error.message}"
        else:
            return
        raise RemoteProtocolError(msg) from error

    def struct(self, struct: Struct, field: str, depth: int) -> Structure:
        """Read a structure; `field` is its path for messages."""
        self._check_depth(field, depth)
        found: Structure = {}
        while True:
            self._at = field
            _, code, number = self.protocol.readFieldBegin()
            if code == TType.STOP:
                break
            item = struct.fields.get(number)
            if item is None:
                self._skip(code, f"{field}.{number}", depth - 1)
                continue
            path = f"{field}.{item.name}"
            if code != item.type.code:
                msg = f"{path}: it is of Thrift type {code}; expected {item.type.name}"
                raise RemoteProtocolError(msg)
            found[item.name] = self._value(item.type, path, depth - 1)
        _check_present(struct, found, field)
        return found

    def _value(self, kind: ValueType, field: str, depth: int) -> Any:
        self._at = field
        if kind.struct is not None:
            return self.struct(kind.struct, field, depth)
        if kind.code == TType.MAP:
            return self._map(kind, field, depth)
        if kind.code in (TType.LIST, TType.SET):
            code, count = self.protocol.readListBegin()
            self._check_depth(field, depth)
            element = kind.inner[0]
            self._check_type(element, code, count, field)
            return [self._value(element, f"{field}[{index}]", depth - 1) for index in range(count)]
        if kind.enum is not None:
            number = self.protocol.readI32()
            if number not in kind.enum.members:
                msg = f"{field}: {number} is no {kind.name}"
                raise RemoteProtocolError(msg)
            return kind.enum.members[number]
        return self._scalar(kind)

    def _scalar(self, kind: ValueType) -> Any:
        protocol = self.protocol
        if kind.code == TType.STRING:
            return protocol.readBinary() if kind.is_binary else protocol.readString()
        read = {
            TType.BOOL: protocol.readBool,
            TType.BYTE: protocol.readByte,
            TType.I16: protocol.readI16,
            TType.I32: protocol.readI32,
            TType.I64: protocol.readI64,
            TType.DOUBLE: protocol.readDouble,
        }[kind.code]
        return read()

    def _map(self, kind: ValueType, field: str, depth: int) -> Any:
        key_code, value_code, count = self.protocol.readMapBegin()
        self._check_depth(field, depth)
        key_type, value_type = kind.inner
        self._check_type(key_type, key_code, count, field)
        self._check_type(value_type, value_code, count, field)
        pairs = []
        for index in range(count):
            key = self._value(key_type, f"{field} key {index}", depth - 1)
            shown = key[:KEY_CHARACTERS_MAX] if isinstance(key, str) else index
            pairs.append((key, self._value(value_type, f"{field}[{shown}]", depth - 1)))
        return pairs if key_type.struct is not None else dict(pairs)

    def _skip(self, code: int, field: str, depth: int) -> None:
        """Pass over a value that the interface file does not know."""
        self._at = field
        self._check_depth(field, depth)
        protocol = self.protocol
        if code in _FIXED_BYTES:
            self._pass(_FIXED_BYTES[code])
        elif code == TType.STRING:
            self._pass(self._length(protocol.readI32()))
        elif code == TType.STRUCT:
            while (inner := protocol.readFieldBegin()[1]) != TType.STOP:
                self._skip(inner, field, depth - 1)
        elif code in (TType.LIST, TType.SET):
            inner, count = protocol.readListBegin()
            self._skip_all((inner,), count, field, depth)
        elif code == TType.MAP:
            key, value, count = protocol.readMapBegin()
            self._skip_all((key, value), count, field, depth)
        else:
            msg = f"{field}: there is no Thrift type {code}"
            raise RemoteProtocolError(msg)

    def _skip_all(self, codes: tuple[int, ...], count: int, field: str, depth: int) -> None:
        if all(code in _FIXED_BYTES for code in codes):
            self._pass(count * sum(_FIXED_BYTES[code] for code in codes))
            return
        for _ in range(count):
            for code in codes:
                self._skip(code, field, depth - 1)

    def _pass(self, count: int) -> None:
        if count > self._size - self.position:
            raise EOFError
        self._buffer.cstringio_buf.seek(count, 1)

    def _length(self, length: int) -> int:
        if length < 0:
            msg = f"{self._at}: its length is {length}"
            raise RemoteProtocolError(msg)
        return length

    def _check_depth(self, field: str, depth: int) -> None:
        if depth <= 0:
            msg = f"{field}: more than {DEPTH_MAX} structures inside one another"
            raise RemoteProtocolError(msg)

    def _check_type(self, kind: ValueType, code: int, count: int, field: str) -> None:
        # Of an empty map some writers give no types.
        if count and code != kind.code:
            msg = f"{field}: it holds Thrift type {code}; expected {kind.name}"
            raise RemoteProtocolError(msg)


def _check_present(struct: Struct, found: Structure, field: str) -> None:
    if struct.kind == "union" and len(found) != 1:
        names = ", ".join(item.name for item in struct.fields.values())
        msg = f"{field}: it has {len(found)} of {names}; expected exactly one"
        raise RemoteProtocolError(msg)
    for item in struct.fields.values():
        if item.requirement == "required" and item.name not in found:
            msg = f"{field}.{item.name} is missing"
            raise RemoteProtocolError(msg)


def _message(name: str, kind: int, sequence: int, value: Structure, struct: Struct) -> bytes:
    protocol = TBinaryProtocol(TMemoryBuffer())
    protocol.writeMessageBegin(name, kind, sequence)
    _write_struct(protocol, value, struct)
    written: bytes = protocol.trans.getvalue()
    return written


def _write_struct(protocol: TBinaryProtocol, value: Structure, struct: Struct) -> None:
    for item in struct.fields.values():
        if item.name in value:
            protocol.writeFieldBegin(item.name, item.type.code, item.id)
            _write(protocol, value[item.name], item.type)
        elif item.requirement == "required":
            msg = f"{struct.name}.{item.name} is missing"
            raise LocalProtocolError(msg)
    protocol.writeFieldStop()


def _write(protocol: TBinaryProtocol, value: Any, kind: ValueType) -> None:
    if kind.struct is not None:
        _write_struct(protocol, value, kind.struct)
    elif kind.code == TType.MAP:
        pairs = list(value.items()) if isinstance(value, dict) else value
        key_type, value_type = kind.inner
        protocol.writeMapBegin(key_type.code, value_type.code, len(pairs))
        for key, item in pairs:
            _write(protocol, key, key_type)
            _write(protocol, item, value_type)
    elif kind.code in (TType.LIST, TType.SET):
        protocol.writeListBegin(kind.inner[0].code, len(value))
        for item in value:
            _write(protocol, item, kind.inner[0])
    elif kind.enum is not None:
        numbers = {name: number for number, name in kind.enum.members.items()}
        protocol.writeI32(numbers[value])
    else:
        _write_scalar(protocol, value, kind)


def _write_scalar(protocol: TBinaryProtocol, value: Any, kind: ValueType) -> None:
    write = {
        TType.BOOL: protocol.writeBool,
        TType.BYTE: protocol.writeByte,
        TType.I16: protocol.writeI16,
        TType.I32: protocol.writeI32,
        TType.I64: protocol.writeI64,
        TType.DOUBLE: protocol.writeDouble,
        TType.STRING: protocol.writeBinary if kind.is_binary else protocol.writeString,
    }[kind.code]
    write(value)
