"""Stands for any process of a container: notes its start line and does what it was told.

    dummy_child.py FOLDER

FOLDER/told/<process> holds words: `exit N`, `print TEXT`, `flood BYTES`, `hold MEGABYTES`,
`ignore_term`, `beats` (gives signs of life, as its container's witness), `daemon` (leaves a
process in a session of its own), `child` (starts one in its group); without any it waits for
SIGTERM. FOLDER/seen gets `start.<process>.<incarnation>` with the start line,
`beat.<process>.<pid>` after a sign of life, and `stop.<process>.<pid>` with the time of a SIGTERM.
"""

import json
import os
import signal
import sys
import time


def note(name: str, text: str) -> None:
    """Write a file at once, so that a reader never sees a part."""
    with open(f"{seen}/.{name}", "w") as file:  # noqa: PTH123 - pathlib would double the start
        file.write(text)
    os.rename(f"{seen}/.{name}", f"{seen}/{name}")  # noqa: PTH104


def stop(_number: int, _frame: object) -> None:
    """Note when SIGTERM came, and end."""
    note(f"stop.{process}.{os.getpid()}", f"{time.monotonic_ns():020d}")
    os._exit(0)


start = json.loads(sys.stdin.readline())
seen, process = f"{sys.argv[1]}/seen", start["process"]
at_end = sys.stdin.read() == ""
try:
    with open(f"{sys.argv[1]}/told/{process}") as told:  # noqa: PTH123
        words = told.read().split()
except FileNotFoundError:
    words = []
signal.signal(signal.SIGTERM, signal.SIG_IGN if "ignore_term" in words else stop)
children = []
if "child" in words or "daemon" in words:
    child = os.fork()
    if not child:
        if "daemon" in words:
            os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(600)
    children.append(child)
facts = {
    "pid": os.getpid(),
    "parent": os.getppid(),
    "group": os.getpgrp(),
    "umask": os.umask(0o077),
    "cwd": os.getcwd(),  # noqa: PTH109
    "stdin_ended": at_end,
    "time_ns": time.monotonic_ns(),
    "children": children,
    "start": start,
}
note(f"start.{process}.{start['incarnation']}", json.dumps(facts))
if "print" in words:
    sys.stdout.write(" ".join(words[words.index("print") + 1 :]) + "\n")
    sys.stdout.flush()
if "flood" in words:
    left = int(words[words.index("flood") + 1])
    while left > 0:
        left -= os.write(1, b"x" * min(left, 60_000))
    os.write(1, b"END")
if "hold" in words:
    held = b"x" * (int(words[words.index("hold") + 1]) << 20)
if words[:1] == ["exit"]:
    os._exit(int(words[1]))
while "beats" in words:
    os.write(start["heartbeat"], b'{"heard":null,"suspected":[]}\n')
    note(f"beat.{process}.{os.getpid()}", "")
    time.sleep(0.2)
while True:
    time.sleep(600)
