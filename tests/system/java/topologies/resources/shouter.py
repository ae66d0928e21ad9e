"""A multilang bolt without any library: emits "<n>!" for each number and acks it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def read() -> object:
    lines = []
    for line in sys.stdin:
        if line == "end\n":
            return json.loads("".join(lines))
        lines.append(line)
    sys.exit(0)


def send(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\nend\n")
    sys.stdout.flush()


Path(read()["pidDir"], str(os.getpid())).touch()
send(pid=os.getpid())
while True:
    message = read()
    if isinstance(message, list):
        continue
    if message["stream"] == "__heartbeat":
        send(command="sync")
        continue
    number = message["tuple"][0]
    send(command="emit", anchors=[message["id"]], tuple=[f"{number}!"], need_task_ids=False)
    send(command="ack", id=message["id"])
