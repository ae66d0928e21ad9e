"""One error tree. Each error says what, which (component, task, path) and what to do."""

from __future__ import annotations

from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ErrorCode(IntEnum):
    """Numbers shared by all languages; equal to ErrorCode in proto/heronshim/wire/v1/link.proto."""

    UNSPECIFIED = 0
    VERSION = 1
    TOKEN = 2
    STALE_INCARNATION = 3
    TASK = 4
    NO_HELLO = 5
    MALFORMED = 6
    KIND = 7
    TOO_LARGE = 8
    TOPOLOGY = 9
    FENCED = 10
    NOT_FOUND = 11
    REFUSED = 12
    VALUE = 13
    INTERNAL = 14
    CREDIT = 15


class HeronshimError(Exception):
    """Root of all errors.

    `exit_code` is the command line's: 1 fault, 2 usage, 3 not found, 4 refused, 5 time-out.
    """

    code = ErrorCode.INTERNAL
    exit_code = 1
    retryable = False


class TopologyError(HeronshimError):
    """The author's topology is wrong; `problems` holds one line for each thing to mend."""

    code = ErrorCode.REFUSED
    exit_code = 2

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(HeronshimError):
    """An option has an unknown name or a wrong value."""

    code = ErrorCode.REFUSED
    exit_code = 2


class NotFoundError(HeronshimError):
    """What was named does not exist."""

    code = ErrorCode.NOT_FOUND
    exit_code = 3


class RefusedError(HeronshimError):
    """What was asked is not possible in the present state."""

    code = ErrorCode.REFUSED
    exit_code = 4


class DeadlineError(HeronshimError):
    """Something did not happen in time; the same call may succeed later."""

    exit_code = 5
    retryable = True


class LocalProtocolError(HeronshimError):
    """Our own side broke the contract: a bug here."""


class RemoteProtocolError(HeronshimError):
    """A peer broke the contract: its link is closed and the event counted."""

    code = ErrorCode.MALFORMED

    def __init__(self, message: str, code: ErrorCode = ErrorCode.MALFORMED) -> None:
        super().__init__(message)
        self.code = code


class StateError(HeronshimError):
    """The state manager cannot read or write a node."""


class StateVersionError(StateError):
    """A node has another version than the writer expected."""

    retryable = True


class FencedError(StateError):
    """The writer's leader epoch is lower than one seen: another leader took over."""

    code = ErrorCode.FENCED


class SchedulerError(HeronshimError):
    """The scheduler cannot do what was asked."""


class UploadError(HeronshimError):
    """A package cannot be stored or fetched."""


class SinkError(HeronshimError):
    """A metrics sink cannot take a record."""


class ValueEncodingError(HeronshimError):
    """A tuple's value cannot be written for its receiver."""

    code = ErrorCode.VALUE


NEAREST_CHARACTERS_MAX = 200
"""No name is longer; comparing a word of megabytes takes seconds."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the known word nearest to `word`, or an empty string."""
    if len(word) > NEAREST_CHARACTERS_MAX:
        return ""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{matches[0]}"?' if matches else ""
