"""Stands between a stream manager and whoever connects to it anew, and loses frames when told to.

A relay takes over the path of a container's Unix socket and passes bytes on to the socket behind
it. What connected before goes on without it. It reads ZMTP frames and heronshim's header.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from heronshim.core.codec.link import decode_hello
from heronshim.core.stream.frame import HEADER, TUPLE_KINDS, Kind
from tests.input.zmtp import COMMAND, GREETING, LARGE, MORE

INBOUND, OUTBOUND = "to the stream manager", "from the stream manager"


class Relay:
    """All connections of one socket path, until it is closed."""

    def __init__(self, path: Path, behind: Path) -> None:
        """`behind`: the new name of the stream manager's socket."""
        path.rename(behind)
        self._behind = behind
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        self._sockets = [listener]
        self._threads: list[threading.Thread] = []
        self._loses: tuple[str, str] | None = None
        self._until_heartbeat = False
        self.relayed: set[str] = set()
        """Processes whose connections pass here."""
        self.lost: list[Kind] = []
        """Kinds of the frames that were lost, from the first with tuples or outcomes on."""
        self._run(self._accept, listener)

    def lose(self, process: str, direction: str) -> None:
        """Lose all frames of a process's link from the next on that takes tuples or outcomes."""
        self._loses = process, direction

    def lose_no_more(self) -> None:
        """Go on with the next link heartbeat: of what is lost until then nothing else tells."""
        self._until_heartbeat = True

    def close(self) -> None:
        """Close all connections."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _run(self, call: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=call, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._sockets += [client, server]
                server.connect(str(self._behind))
                process: list[str] = []
                self._run(self._pass_on, client, server, INBOUND, process)
                self._run(self._pass_on, server, client, OUTBOUND, process)

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, direction: str, process: list[str]
    ) -> None:
        """Pass on what comes one way; `process` gets the name of who connected."""
        with suppress(OSError), source.makefile("rb") as stream:
            # Each side waits for the other's in the middle of its own.
            left = len(GREETING)
            while left and (part := stream.read1(left)):
                sink.sendall(part)
                left -= len(part)
            for parts, header, payload in _messages(stream, sink):
                kind = Kind(HEADER.unpack(header)[1])
                if kind is Kind.HELLO:
                    process.append(decode_hello(payload).process)
                    self.relayed.update(process)
                if self._passes((process[0], direction), kind):
                    sink.sendall(parts)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _passes(self, link: tuple[str, str], kind: Kind) -> bool:
        if self._loses != link:
            return True
        if self.lost and self._until_heartbeat and kind is Kind.HEARTBEAT:
            self._loses = None
            return True
        if not self.lost and kind not in TUPLE_KINDS:
            return True
        self.lost.append(kind)
        return False


def _messages(stream: BinaryIO, sink: socket.socket) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Return (all bytes, header, payload) of each message; ZMTP's own commands go on at once."""
    parts: list[bytes] = []
    bodies: list[bytes] = []
    while flags := stream.read(1):
        size = stream.read(8 if flags[0] & LARGE else 1)
        body = stream.read(int.from_bytes(size, "big"))
        if flags[0] & COMMAND:
            sink.sendall(flags + size + body)
            continue
        parts.append(flags + size + body)
        bodies.append(body)
        if not flags[0] & MORE:
            header, payload = bodies
            yield b"".join(parts), header, payload
            parts, bodies = [], []
