"""A gateway as a process, and a client that speaks to it byte by byte."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from heronshim.storm.interface import nimbus_interface
from heronshim.storm.thrift_codec import call_to_bytes, read_reply

DEADLINE_S = 60.0
START = ("nimbus", "--port", "0", "--json")
METHODS = nimbus_interface().methods


class NimbusClient:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)

    def connect_again(self) -> None:
        """Give up the connection and open another."""
        self.socket.close()
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=DEADLINE_S)

    def __enter__(self) -> NimbusClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method and return its result: success or an exception, by name."""
        self.send(call_to_bytes(METHODS[method], arguments, 1))
        return self.reply()

    def send(self, message: bytes) -> None:
        """Send a message as one frame."""
        self.socket.sendall(struct.pack(">i", len(message)) + message)

    def reply(self) -> dict[str, Any]:
        """Read one answer; EOFError at the end of the connection."""
        (length,) = struct.unpack(">i", self._exactly(4))
        return read_reply(self._exactly(length), nimbus_interface())

    def is_closed(self) -> bool:
        """Whether the gateway ended the connection; waits until it does."""
        with suppress(ConnectionError):
            return self.socket.recv(1) == b""
        return True

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self.socket.recv(count - len(found))
            if not piece:
                raise EOFError
            found += piece
        return found


class Gateway:
    """`heronshim nimbus` on a free port of the loopback, with a home of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.log = home.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "heronshim.cli.main", *START, *options],
                env=os.environ | {"HERONSHIM_HOME": str(home)},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        lines = b""
        while not lines.rstrip().endswith(b"}"):
            ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            assert piece, f"the gateway says {lines!r}, {self.log.read_text()}"
            lines += piece
        self.port = int(json.loads(lines)["port"])

    def client(self) -> NimbusClient:
        return NimbusClient(self.port)

    def works(self) -> bool:
        """Whether an ordinary client is served."""
        with self.client() as client:
            return client.call("getLeader")["success"]["isLeader"] is True

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def close(self) -> int:
        """End it as a person does; return its exit code."""
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
