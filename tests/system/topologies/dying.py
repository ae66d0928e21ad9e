"""Bolts that fail and die, each in its own way; but for the first each dies once."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Spout, Topology, Tuple

MARKS = "DYING_MARKS"
"""Environment variable: a folder for marks of deaths that need not be repeated."""
HOARD_BYTES = 400 << 20


class Orders(Spout):
    """Counts up, slowly; what failed is not emitted again."""

    outputs = ("number",)

    def __init__(self) -> None:
        self._number = 0

    def next_tuple(self) -> None:
        time.sleep(0.01)
        self._number += 1
        self.emit([self._number], id=self._number)


class Raises(Bolt):
    """Raises at each tenth number."""

    def execute(self, tup: Tuple) -> None:
        if tup["number"] % 10 == 0:
            raise KeyError(f"number {tup['number']} of {id(tup):#x}")


class Dies(Bolt):
    """Dies at its first tuple, unless it did before."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._mark = Path(os.environ[MARKS]) / context.component_id

    def execute(self, tup: Tuple) -> None:
        if not self._mark.exists():
            self._mark.touch()
            self.die()

    def die(self) -> None:
        raise NotImplementedError


class Exits(Dies):
    def die(self) -> None:
        os.write(1, b"leaving \x1b[31m now\n")
        os._exit(7)


class Crashes(Dies):
    def die(self) -> None:
        ctypes.string_at(0)


class Hoards(Dies):
    def die(self) -> None:
        self._hoard = bytearray(b"x") * HOARD_BYTES
        time.sleep(60)


class Dying(Topology):
    options = {"containers": 2, "message_timeout_s": 30}
    orders = Orders.spec()
    raises = Raises.spec(inputs=[orders])
    exits = Exits.spec(inputs=[orders])
    crashes = Crashes.spec(inputs=[orders])
    hoards = Hoards.spec(inputs=[orders], options={"ram_mb": 200})
