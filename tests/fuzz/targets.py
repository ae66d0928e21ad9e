"""All readers of bytes from outside, what each may raise, and inputs to begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heronshim.core.codec import link
from heronshim.core.codec.data import decode_batch, decode_outcomes, open_batch
from heronshim.core.codec.event_json import event_from_line
from heronshim.core.codec.json_fields import parse_json
from heronshim.core.codec.master import (
    command_from_bytes,
    heartbeat_from_bytes,
    register_from_bytes,
    reply_from_bytes,
)
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.codec.plan import packing_plan_from_bytes, physical_plan_from_bytes
from heronshim.core.codec.records import execution_state_from_bytes, tmaster_location_from_bytes
from heronshim.core.codec.topology import topology_from_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.launch_file import launch_from_json
from heronshim.core.io.launcher_protocol import reply_from_line, request_from_line
from heronshim.core.plugins import node_file
from heronshim.core.plugins.node_file import StoredNode
from heronshim.errors import RemoteProtocolError, StateError
from heronshim.storm.interface import nimbus_interface
from heronshim.storm.thrift_codec import read_arguments, read_call

CORPUS = Path(__file__).parent / "corpus"
EXCHANGE = Path(__file__).parents[1] / "vectors" / "exchange.json"


@dataclass(frozen=True)
class Target:
    """One reader: it returns something or says how the bytes are wrong."""

    name: str
    read: Callable[[bytes], Any]
    refusals: type[Exception] = RemoteProtocolError

    @property
    def file(self) -> str:
        """Name of the file that keeps its inputs."""
        return f"{self.name}.hex"


def _rows(data: bytes) -> Any:
    """Read a batch as an instance does, each row as it is executed."""
    batch, rows = open_batch(data)
    return batch, rows if isinstance(rows, list) else list(rows.tuples(None))


def _call(data: bytes) -> Any:
    """Read a message as the Nimbus gateway does."""
    call = read_call(data)
    method = nimbus_interface().methods.get(call.method)
    return read_arguments(call, method) if method else call


_ALL = [
    Target("hello", link.decode_hello),
    Target("error", link.decode_error),
    Target("credit", link.decode_credit),
    Target("credit_request", link.decode_credit_request),
    Target("heartbeat", link.decode_heartbeat),
    Target("bye", link.decode_bye),
    Target("bye_ack", link.decode_bye_ack),
    Target("loss_notice", link.decode_loss_notice),
    Target("loss_notice_ack", link.decode_loss_notice_ack),
    Target("back_pressure", link.decode_back_pressure),
    Target("batch", decode_batch),
    Target("rows", _rows),
    Target("outcomes", decode_outcomes),
    Target("metrics", lambda data: metrics_from_bytes(data, "t")),
    Target("register", register_from_bytes),
    Target("stmgr_heartbeat", heartbeat_from_bytes),
    Target("command", command_from_bytes),
    Target("reply", lambda data: reply_from_bytes(data, "t")),
    Target("packing_plan", packing_plan_from_bytes),
    Target("physical_plan", physical_plan_from_bytes),
    Target("execution_state", execution_state_from_bytes),
    Target("location", tmaster_location_from_bytes),
    Target("topology", topology_from_bytes),
    Target("launcher_request", request_from_line),
    Target("launcher_reply", reply_from_line),
    Target("start_line", ChildStart.from_json),
    Target("launch", lambda data: launch_from_json(parse_json(data, "launch"))),
    Target("event_line", event_from_line),
    Target("thrift_call", _call),
    Target("node_file", lambda data: node_file.from_bytes(data, Path("node")), StateError),
]
TARGETS = {target.name: target for target in _ALL}


def recorded(value: object) -> list[bytes]:
    """Return all hex texts of a recorded exchange."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in recorded(item)]
    if isinstance(value, list):
        return [found for item in value for found in recorded(item)]
    try:
        return [bytes.fromhex(value)] if isinstance(value, str) and value else []
    except ValueError:
        return []


def first_inputs() -> list[bytes]:
    """Return what every target begins with, beside its own corpus."""
    return [
        b"",
        b'{"id":"a","order":"status","launch":null,"plans":[],"ids":[]}',
        node_file.to_bytes(StoredNode(b"value", 1, 2, 3)),
        *recorded(json.loads(EXCHANGE.read_text())),
    ]


def read_inputs(path: Path) -> list[bytes]:
    """Return the inputs in a file: one a line, in hex; none when there is no file."""
    return [bytes.fromhex(line) for line in path.read_text().split("\n")] if path.exists() else []


def write_inputs(path: Path, inputs: list[bytes]) -> None:
    """Write a file that `read_inputs` reads; the same inputs give the same file."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(sorted(data.hex() for data in set(inputs))))
