"""Bytes changed at random: every reader returns something or says RemoteProtocolError, no more.

Longer: FUZZ_COUNT=100000 (mutants for each reader).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.codec import link
from heronshim.core.codec.data import decode_batch, decode_outcomes
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
from heronshim.core.io.launcher_protocol import reply_from_line, request_from_line
from heronshim.errors import RemoteProtocolError

COUNT = int(os.environ.get("FUZZ_COUNT", "300"))
FRAMES = json.loads((Path(__file__).parents[1] / "vectors" / "exchange.json").read_text())
READERS: dict[str, Callable[[bytes], Any]] = {
    "hello": link.decode_hello,
    "error": link.decode_error,
    "credit": link.decode_credit,
    "credit request": link.decode_credit_request,
    "heartbeat": link.decode_heartbeat,
    "loss notice": link.decode_loss_notice,
    "batch": decode_batch,
    "outcomes": decode_outcomes,
    "metrics": lambda data: metrics_from_bytes(data, "t"),
    "register": register_from_bytes,
    "stmgr heartbeat": heartbeat_from_bytes,
    "command": command_from_bytes,
    "reply": lambda data: reply_from_bytes(data, "t"),
    "packing plan": packing_plan_from_bytes,
    "physical plan": physical_plan_from_bytes,
    "execution state": execution_state_from_bytes,
    "location": tmaster_location_from_bytes,
    "topology": topology_from_bytes,
    "launcher request": request_from_line,
    "launcher reply": reply_from_line,
}


def seeds(value: object) -> list[bytes]:
    """Return all hex texts of the recorded exchange."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in seeds(item)]
    if isinstance(value, list):
        return [found for item in value for found in seeds(item)]
    try:
        return [bytes.fromhex(value)] if isinstance(value, str) and value else []
    except ValueError:
        return []


def mutant(rng: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = b"\xff" * rng.randrange(1, 12)
            case _:
                data += data[:at]
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_no_mutant_is_more_than_refused(name: str) -> None:
    rng, read = random.Random(name), READERS[name]
    corpus = [b"", b'{"id":"a","order":"status","launch":null,"plans":[],"ids":[]}', *seeds(FRAMES)]
    assert len(corpus) > 5
    for _ in range(COUNT):
        data = mutant(rng, rng.choice(corpus))
        message = "read"
        try:
            read(data)
        except RemoteProtocolError as error:
            message = str(error)
        assert 0 < len(message) < 5000, data.hex()
