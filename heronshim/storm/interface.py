"""Reads the interface file `nimbus.thrift`: which structures and methods go over the wire.

It knows what that file needs of Thrift's interface language: exceptions, structs, unions, enums
and services; each type is declared before it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import NoReturn

from thrift.Thrift import TType

INTERFACE_FILE = "nimbus.thrift"
UNSERVED = "Unserved"
"""Service of the methods that are only refused."""
_SCALARS = {
    "bool": TType.BOOL,
    "byte": TType.BYTE,
    "i16": TType.I16,
    "i32": TType.I32,
    "i64": TType.I64,
    "double": TType.DOUBLE,
    "string": TType.STRING,
    "binary": TType.STRING,
}
_CONTAINERS = {"list": TType.LIST, "set": TType.SET, "map": TType.MAP}
_WORD = re.compile(r"\s*(?://[^\n]*\s*)*([A-Za-z_]\w*|\d+|[{}()<>:,=]|$)")


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a value."""

    name: str
    """As the interface file writes it."""
    code: int
    """Thrift's number of it (TType)."""
    inner: tuple[ValueType, ...] = ()
    """Of a list or set its elements' type; of a map its keys' and its values'."""
    struct: Struct | None = None
    enum: Enum | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it is bytes, not text."""
        return self.name == "binary"


@dataclass(frozen=True, slots=True)
class Enum:
    """Names of numbers."""

    name: str
    members: dict[int, str]


@dataclass(frozen=True, slots=True)
class StructField:
    """One field of a structure."""

    id: int
    name: str
    type: ValueType
    requirement: str = "default"
    """required, optional or default (Thrift's words)."""


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct, union or exception, or the arguments or the result of a method."""

    name: str
    kind: str
    fields: dict[int, StructField] = field(default_factory=dict)
    """By id."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the service. Its result holds `success` as 0 and its exceptions."""

    name: str
    arguments: Struct
    result: Struct
    is_served: bool

    def exception(self, name: str) -> StructField | None:
        """Return the field of the result for an exception that the method declares."""
        found = (item for item in self.result.fields.values() if item.id and item.type.name == name)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Interface:
    """The whole file."""

    structs: dict[str, Struct] = field(default_factory=dict)
    enums: dict[str, Enum] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)


@cache
def nimbus_interface() -> Interface:
    """Return the interface of Storm's Nimbus."""
    return parse_interface(files("heronshim.storm").joinpath(INTERFACE_FILE).read_text("utf-8"))


def parse_interface(text: str) -> Interface:
    """Return what an interface file says.

    Raises:
        ValueError: it is no such file; says at which word.
    """
    return _Parser(text).interface()


class _Parser:
    """Takes the words of the file one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._found = Interface()

    def interface(self) -> Interface:
        while (kind := self._next()) != "":
            name = self._next()
            if kind == "enum":
                self._found.enums[name] = self._enum(name)
            elif kind == "service":
                self._service(name)
            elif kind in ("struct", "union", "exception"):
                self._found.structs[name] = Struct(name, kind, self._fields("{", "}"))
            else:
                self._fail(f"unknown word {kind!r}")
        return self._found

    def _enum(self, name: str) -> Enum:
        members = {}
        self._expect("{")
        while not self._accept("}"):
            member = self._next()
            self._expect("=")
            members[int(self._next())] = member
            self._accept(",")
        return Enum(name, members)

    def _service(self, name: str) -> None:
        self._expect("{")
        while not self._accept("}"):
            returned = self._peek()
            result = {}
            if returned == "void":
                self._next()
            else:
                result[0] = StructField(0, "success", self._type())
            method = self._next()
            arguments = Struct(f"{method}_args", "struct", self._fields("(", ")"))
            if self._accept("throws"):
                result.update(self._fields("(", ")"))
            self._found.methods[method] = Method(
                method, arguments, Struct(f"{method}_result", "result", result), name != UNSERVED
            )

    def _fields(self, opening: str, closing: str) -> dict[int, StructField]:
        found = {}
        self._expect(opening)
        while not self._accept(closing):
            number = int(self._next())
            self._expect(":")
            requirement = "default"
            if self._peek() in ("required", "optional"):
                requirement = self._next()
            kind = self._type()
            found[number] = StructField(number, self._next(), kind, requirement)
            self._accept(",")
        return found

    def _type(self) -> ValueType:
        word = self._next()
        if word in _SCALARS:
            return ValueType(word, _SCALARS[word])
        if word in _CONTAINERS:
            self._expect("<")
            inner = [self._type()]
            while self._accept(","):
                inner.append(self._type())
            self._expect(">")
            name = f"{word}<{', '.join(item.name for item in inner)}>"
            return ValueType(name, _CONTAINERS[word], tuple(inner))
        if word in self._found.structs:
            return ValueType(word, TType.STRUCT, struct=self._found.structs[word])
        if word in self._found.enums:
            return ValueType(word, TType.I32, enum=self._found.enums[word])
        return self._fail(f"unknown type {word!r}")

    def _peek(self) -> str:
        match = _WORD.match(self._text, self._position)
        if match is None:
            return self._fail("unknown character")
        return match[1]

    def _next(self) -> str:
        word = self._peek()
        match = _WORD.match(self._text, self._position)
        assert match is not None
        self._position = match.end()
        return word

    def _accept(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._next()
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            self._fail(f"expected {word!r}, not {self._peek()!r}")

    def _fail(self, what: str) -> NoReturn:
        line = self._text.count("\n", 0, self._position) + 1
        msg = f"interface file, line {line}: {what}"
        raise ValueError(msg)
