"""Events as lines of JSON, for files: a supervisor writes them, and starts without protobuf."""

from __future__ import annotations

import json
from dataclasses import asdict

from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.spi.events import EventRecord

_FIELDS = tuple(EventRecord.__dataclass_fields__)


def event_to_line(event: EventRecord) -> bytes:
    """Return an event as one line, ended by a line feed."""
    return json.dumps(asdict(event), separators=(",", ":")).encode() + b"\n"


def event_from_line(line: bytes) -> EventRecord:
    """Return the event in a line.

    Raises:
        RemoteProtocolError: the line is damaged; names the field.
    """
    fields = JsonFields(parse_json(line, "event"), "event", _FIELDS)
    return EventRecord(
        id=fields.text("id"),
        time_ms=fields.whole("time_ms"),
        kind=fields.text("kind"),
        process=fields.text("process", empty=True),
        container=fields.whole("container"),
        host=fields.text("host", empty=True),
        component=fields.text("component", empty=True),
        task=fields.whole("task"),
        cause=fields.text("cause", empty=True),
        detail=fields.text("detail", empty=True),
        numbers=fields.number_map("numbers"),
    )
