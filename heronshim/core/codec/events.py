"""Events as protobuf: wire.v1.EventReport."""

from __future__ import annotations

import re
from math import isfinite

from heronshim.core.codec.reading import required_text, short_text
from heronshim.core.spi.events import EventRecord
from heronshim.errors import RemoteProtocolError
from heronshim.wire.v1 import metrics_pb2 as wire

NUMBERS_MAX = 32
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


def event_to_message(event: EventRecord) -> wire.EventReport:
    """Return an event as a message."""
    return wire.EventReport(
        id=event.id,
        time_ms=event.time_ms,
        kind=event.kind,
        process=event.process,
        container=event.container,
        host=event.host,
        component=event.component,
        task=event.task,
        cause=event.cause,
        detail=event.detail,
        numbers=event.numbers,
    )


def event_from_message(message: wire.EventReport, field: str) -> EventRecord:
    """Return the event in a message; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a field is missing, wrong or too long; names it.
    """
    if not _KIND.fullmatch(message.kind):
        msg = f"{field}.kind is {message.kind[:80]!r}; expected a name such as process_died"
        raise RemoteProtocolError(msg)
    if len(message.numbers) > NUMBERS_MAX:
        msg = f"{field}.numbers has {len(message.numbers)} entries; at most {NUMBERS_MAX} fit"
        raise RemoteProtocolError(msg)
    numbers = dict(message.numbers)
    for name, value in numbers.items():
        short_text(name, f"{field}.numbers")
        if not isfinite(value):
            msg = f'{field}.numbers["{name}"] is {value}; expected a finite number'
            raise RemoteProtocolError(msg)
    return EventRecord(
        id=short_text(required_text(message.id, f"{field}.id"), f"{field}.id"),
        time_ms=message.time_ms,
        kind=message.kind,
        process=short_text(message.process, f"{field}.process"),
        container=message.container,
        host=short_text(message.host, f"{field}.host"),
        component=short_text(message.component, f"{field}.component"),
        task=message.task,
        cause=message.cause,
        detail=message.detail,
        numbers=numbers,
    )
