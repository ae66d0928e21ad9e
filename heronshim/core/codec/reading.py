"""What all readers of protobuf messages share: errors that name the field."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from heronshim.errors import ErrorCode, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

NO_LIMIT = 1 << 62
NAME_CHARACTERS_MAX = 200
"""Of an id, process, host or component; components have 128 at most."""
AnyMessage = TypeVar("AnyMessage", bound=Message)
Member = TypeVar("Member", bound=StrEnum)


class _WireEnum(Protocol):
    """A generated protobuf enum."""

    def Value(self, name: str, /) -> int: ...  # noqa: N802 - protobuf's name


class EnumCodec(Generic[Member]):
    """One of our enums beside the wire's, matched by name: SHUFFLE is <prefix>_SHUFFLE."""

    def __init__(self, kind: type[Member], wire: _WireEnum, prefix: str) -> None:
        self._names = {member: f"{prefix}_{member.name}" for member in kind}
        self._members = {wire.Value(name): member for member, name in self._names.items()}

    def name(self, member: Member) -> str:
        """Return the wire's name of a member, which protobuf takes for its number."""
        return self._names[member]

    def member(self, number: int, field: str) -> Member:
        """Return the member that has `number` on the wire.

        Raises:
            RemoteProtocolError: the field is missing (0) or the number is unknown.
        """
        found = self._members.get(number)
        if found is None:
            known = ", ".join(f"{key} ({item.value})" for key, item in self._members.items())
            problem = "is missing" if number == 0 else f"has the unknown value {number}"
            msg = f"{field} {problem}; expected one of {known}"
            raise RemoteProtocolError(msg)
        return found


def parse(
    kind: type[AnyMessage], data: bytes | memoryview, bytes_max: int = NO_LIMIT
) -> AnyMessage:
    """Return the message in `data`.

    Raises:
        RemoteProtocolError: the bytes are not such a message, or more than `bytes_max`.
    """
    if len(data) > bytes_max:
        msg = f"{kind.__name__}: {len(data)} bytes; at most {bytes_max} are allowed"
        raise RemoteProtocolError(msg, ErrorCode.TOO_LARGE)
    message = kind()
    try:
        message.ParseFromString(bytes(data))
    except DecodeError as error:
        msg = f"{kind.__name__}: {len(data)} bytes are not such a message ({error})"
        raise RemoteProtocolError(msg) from None
    return message


def serialize(build: Callable[[], Message], what: str) -> bytes:
    """Return the bytes of the message that `build` makes, the same for equal messages.

    Raises:
        LocalProtocolError: a number or text of ours does not fit its field.
    """
    try:
        return build().SerializeToString(deterministic=True)
    except (ValueError, TypeError) as error:
        msg = f"{what} cannot be written: {error}"
        raise LocalProtocolError(msg) from error


def required_text(value: str, field: str) -> str:
    """Return `value`.

    Raises:
        RemoteProtocolError: it is empty.
    """
    if not value:
        msg = f"{field} is missing; expected text"
        raise RemoteProtocolError(msg)
    return value


def short_text(value: str, field: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """Return `value`, which is kept for long.

    Raises:
        RemoteProtocolError: it has more characters than fit.
    """
    if len(value) > characters_max:
        msg = f"{field} has {len(value)} characters; at most {characters_max} fit"
        raise RemoteProtocolError(msg)
    return value


def positive(value: int, field: str) -> int:
    """Return `value`.

    Raises:
        RemoteProtocolError: it is below 1.
    """
    if value < 1:
        msg = f"{field} is {value}; expected at least 1"
        raise RemoteProtocolError(msg)
    return value


def unique(values: list[int] | list[str], field: str) -> None:
    """Check that nothing occurs twice.

    Raises:
        RemoteProtocolError: a value occurs twice; names the first one.
    """
    seen: set[int | str] = set()
    for value in values:
        if value in seen:
            msg = f"{field}: {value!r} occurs twice"
            raise RemoteProtocolError(msg)
        seen.add(value)
