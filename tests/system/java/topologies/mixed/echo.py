"""A bolt in Python between components in Java."""

from __future__ import annotations

from pathlib import Path

from heronshim.api import Bolt


class Echo(Bolt):
    """Writes each value down and emits it again."""

    outputs = ["value"]

    def prepare(self, config, context):
        self.seen = Path(config["folder"], f"{context.component_id}.txt")

    def execute(self, tup):
        with self.seen.open("a") as file:
            file.write(f"{tup.values[0]!r}\n")
        self.emit([tup.values[0]])
