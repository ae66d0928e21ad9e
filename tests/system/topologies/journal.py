"""Components that write down what is called, when, in which process and thread."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Spout, Topology, Tuple

FOLDER = os.environ.get("JOURNAL_FOLDER", "")
BLOCK_S = 3.0


class Journal:
    """Appends lines to one file; its order is that of time, over all processes."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def begin(self, context: Context) -> None:
        self.context = context
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        self.file = os.open(self.folder / "journal", flags, 0o600)

    def note(self, what: str, value: Any = None) -> None:
        line = {
            "at_s": time.monotonic(),
            "pid": os.getpid(),
            "thread": threading.get_ident(),
            "component": self.context.component_id,
            "task": self.context.task_id,
            "what": what,
            "value": value,
        }
        os.write(self.file, json.dumps(line).encode() + b"\n")


class Source(Journal, Spout):
    """Emits the numbers below `count` and again what failed; raises once at `raises_at`."""

    outputs = ("number",)

    def __init__(self, folder: str, count: int, raises_at: int = -1) -> None:
        super().__init__(folder)
        self.waiting = list(range(count))
        self.raises_at = raises_at

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self.begin(context)
        self.note("open")

    def activate(self) -> None:
        self.note("activate")

    def deactivate(self) -> None:
        self.note("deactivate")

    def close(self) -> None:
        self.note("close")

    def next_tuple(self) -> None:
        if not self.waiting:
            return
        number = self.waiting[0]
        if number == self.raises_at and first_time(self.folder / "raised"):
            raise RuntimeError("boom")
        self.waiting.pop(0)
        self.note("emit", number)
        self.emit([number], id=number)

    def ack(self, id: int) -> None:
        self.note("ack", id)

    def fail(self, id: int) -> None:
        self.note("fail", id)
        self.waiting.append(id)


class Sink(Journal, Bolt):
    """Takes a while for each tuple; raises once, or blocks, at a number."""

    def __init__(
        self, folder: str, pause_s: float = 0.0, raises_at: int = -1, blocks_at: int = -1
    ) -> None:
        super().__init__(folder)
        self.pause_s = pause_s
        self.raises_at = raises_at
        self.blocks_at = blocks_at

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self.begin(context)
        self.note("prepare")

    def execute(self, tup: Tuple) -> None:
        self.note("execute", tup[0])
        if tup[0] == self.raises_at and first_time(self.folder / "raised"):
            raise RuntimeError("boom")
        time.sleep(self.pause_s)
        if tup[0] == self.blocks_at and first_time(self.folder / "blocked"):
            time.sleep(BLOCK_S)
        self.note("done", tup[0])

    def cleanup(self) -> None:
        self.note("cleanup")


def first_time(marker: Path) -> bool:
    """Return True to one caller only, whatever process it is in."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Slow(Topology):
    """One executor of three tasks; more work than it does before it is killed."""

    options = {"max_spout_pending": 50}
    source = Source.spec(args={"folder": FOLDER, "count": 100_000})
    sink = Sink.spec(tasks=3, inputs=[source], args={"folder": FOLDER, "pause_s": 0.005})


class BoltRaises(Topology):
    options = {"on_user_exception": "restart", "message_timeout_s": 2}
    source = Source.spec(args={"folder": FOLDER, "count": 10})
    sink = Sink.spec(inputs=[source], args={"folder": FOLDER, "raises_at": 3})
    other = Sink.spec(inputs=[source], args={"folder": FOLDER})


class SpoutRaises(Topology):
    options = {"on_user_exception": "restart", "message_timeout_s": 2}
    source = Source.spec(args={"folder": FOLDER, "count": 10, "raises_at": 5})
    sink = Sink.spec(inputs=[source], args={"folder": FOLDER})


class Blocks(Topology):
    options = {"message_timeout_s": 1}
    source = Source.spec(args={"folder": FOLDER, "count": 10})
    sink = Sink.spec(inputs=[source], args={"folder": FOLDER, "blocks_at": 3})


class Idle(Topology):
    options = {"spout_wait_ms": 50}
    source = Source.spec(args={"folder": FOLDER, "count": 0})
    sink = Sink.spec(inputs=[source], args={"folder": FOLDER})
