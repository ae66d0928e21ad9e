"""What the local scheduler and its launcher say to each other: JSON lines on a Unix socket.

Request: {"id": text, "order": text, "launch": object or null, "plans": [...], "ids": [...]}
Reply:   {"id": text, "ok": true, "containers": [...]}
         {"id": text, "ok": false, "error": class name, "message": text}

A request that is repeated with its id is not carried out twice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heronshim.core.codec.container_json import container_plan_from_json, container_plan_to_json
from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.launch_file import launch_from_json
from heronshim.core.spi.scheduler import ContainerStatus
from heronshim.errors import (
    ConfigError,
    DeadlineError,
    HeronshimError,
    NotFoundError,
    RefusedError,
    RemoteProtocolError,
    SchedulerError,
    StateError,
    nearest,
)

if TYPE_CHECKING:
    from heronshim.core.plan.physical import ContainerPlan
    from heronshim.core.spi.scheduler import Launch

LINE_BYTES_MAX = 4 << 20
"""Longest request or reply: plans of some 30,000 processes. The worst one takes 120 MB when read
(measured)."""
EXIT_ANOTHER_LIVES = 75
"""Exit code of a launcher's start (EX_TEMPFAIL): another one of the same topology lives."""
EXIT_NOTHING_THERE = 66
"""Exit code of a launcher's start (EX_NOINPUT): there is no topology in the work folder."""
_ERRORS: dict[str, type[HeronshimError]] = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        DeadlineError,
        NotFoundError,
        RefusedError,
        SchedulerError,
        StateError,
    )
}


class Order(StrEnum):
    """What may be asked of a launcher."""

    START_MASTER = "start_master"
    ADD = "add_containers"
    REMOVE = "remove_containers"
    RESTART = "restart"
    KILL = "kill"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `launch` belongs to START_MASTER and ADD, `plans` to ADD, `ids` to the rest."""

    id: str
    order: Order
    launch: Launch | None = None
    plans: tuple[ContainerPlan, ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request with the same id; an empty id: it could not be read."""

    id: str
    error: HeronshimError | None = None
    containers: tuple[ContainerStatus, ...] = ()


def request_to_line(request: Request) -> bytes:
    """Return a request as one line."""
    launch = request.launch
    value = {
        "id": request.id,
        "order": request.order.value,
        "launch": None if launch is None else launch.to_json_value(),
        "plans": [container_plan_to_json(plan) for plan in request.plans],
        "ids": list(request.ids),
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def request_from_line(line: bytes) -> Request:
    """Return the request in a line.

    Raises:
        RemoteProtocolError: it is no JSON, or a field is missing, unknown or wrong; names it.
    """
    names = ("id", "order", "launch", "plans", "ids")
    fields = JsonFields(parse_json(line, "request"), "request", names)
    word = fields.text("order")
    if word not in set(Order):
        msg = f'request.order: there is no order "{word[:80]}".{nearest(word, list(Order))}'
        raise RemoteProtocolError(msg)
    launch = fields.value("launch")
    if launch is None and word in {Order.START_MASTER, Order.ADD}:
        msg = f"request.launch: {word} needs it"
        raise RemoteProtocolError(msg)
    return Request(
        id=fields.text("id"),
        order=Order(word),
        launch=None if launch is None else launch_from_json(launch, "request.launch"),
        plans=tuple(
            container_plan_from_json(item, f"request.plans[{index}]")
            for index, item in enumerate(fields.items("plans"))
        ),
        ids=fields.wholes("ids"),
    )


def reply_to_line(reply: Reply) -> bytes:
    """Return a reply as one line."""
    value: dict[str, object] = {"id": reply.id, "ok": reply.error is None}
    if reply.error is None:
        value["containers"] = [asdict(status) for status in reply.containers]
    else:
        value |= {"error": type(reply.error).__name__, "message": str(reply.error)}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def reply_from_line(line: bytes) -> Reply:
    """Return the reply in a line.

    Raises:
        RemoteProtocolError: it is no JSON, or a field is missing, unknown or wrong; names it.
    """
    names = ("id", "ok", "containers", "error", "message")
    fields = JsonFields(parse_json(line, "reply"), "reply", names)
    request_id = fields.text("id", empty=True)
    if not fields.flag("ok"):
        kind = _ERRORS.get(fields.text("error"), SchedulerError)
        return Reply(request_id, kind(fields.text("message")))
    containers = tuple(
        _status(item, index) for index, item in enumerate(fields.items("containers"))
    )
    return Reply(request_id, None, containers)


def _status(value: object, index: int) -> ContainerStatus:
    names = ("id", "pid", "running", "restarts", "cause", "suspected")
    fields = JsonFields(value, f"reply.containers[{index}]", names)
    return ContainerStatus(
        id=fields.whole("id"),
        pid=fields.whole("pid"),
        running=fields.flag("running"),
        restarts=fields.whole("restarts"),
        cause=fields.text("cause", empty=True),
        suspected=fields.texts("suspected") if fields.has("suspected") else (),
    )
