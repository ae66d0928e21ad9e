"""Who may connect to the topology master, and what each may send."""

from __future__ import annotations

import re

from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode, RemoteProtocolError

_PROCESSES = {Role.STMGR: ("stmgr",), Role.METRICSMGR: ("metricsmgr", "tmaster-sink")}
"""Beginnings of names that end in the container's number."""
_CLIENT = re.compile(r"client-[0-9a-f]{8}")
_KINDS = {
    Role.STMGR: (Kind.STMGR_REGISTER, Kind.STMGR_HEARTBEAT),
    Role.METRICSMGR: (Kind.METRICS,),
    Role.CLIENT: (Kind.COMMAND,),
}


def admit(hello: Hello) -> tuple[ErrorCode, str] | None:
    """Judge a hello whose token is right: None, or why it is refused."""
    if hello.role not in _KINDS:
        return ErrorCode.TASK, f"a {hello.role.name} has no place at the TMaster"
    if hello.role is Role.CLIENT:
        fits = _CLIENT.fullmatch(hello.process) is not None
    else:
        names = (f"{kind}-{hello.container}" for kind in _PROCESSES[hello.role])
        fits = hello.process in names and (hello.container > 0 or hello.role is not Role.STMGR)
    if not fits:
        of = f"{hello.role.name} of container {hello.container}"
        return ErrorCode.TASK, f'"{hello.process}" is no name of a {of}'
    if hello.tasks and (hello.role is not Role.METRICSMGR or hello.tasks != (METRICSMGR_TASK,)):
        return ErrorCode.TASK, f'"{hello.process}" may not speak for tasks {hello.tasks}'
    return None


def allowed_kind(hello: Hello, kind: int) -> Kind:
    """Return the kind of a frame.

    Raises:
        RemoteProtocolError: who said this hello may not send it.
    """
    for allowed in _KINDS[hello.role]:
        if kind == allowed:
            return allowed
    msg = f"a {hello.role.name} may not send frames of kind {kind} to the TMaster"
    raise RemoteProtocolError(msg, ErrorCode.KIND)
