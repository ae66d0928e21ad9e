"""Outcomes on their way to spout tasks: acks combined per root, order kept against fails."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from heronshim.core.codec.data import encode_outcomes
from heronshim.core.stream.frame import Kind

if TYPE_CHECKING:
    from heronshim.instance.outbox import Frame

ACK, FAIL, RESET = 0, 1, 2
TASK_SHIFT = 48


class OutcomeBuffer:
    """Collects between two flushes. Called under the instance's IO lock."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._acks: dict[int, int] = {}
        self._frames: list[Frame] = []

    def ack(self, root: int, xor: int) -> None:
        """XOR into a root's tree."""
        acks = self._acks
        combined = acks.get(root, 0) ^ xor
        if not combined:
            # A tuple was acked twice: the first ack may complete the tree, so it goes alone.
            self._settle_acks()
            combined = xor
        self._acks[root] = combined

    def fail(self, root: int) -> None:
        """Fail a root's tree; acks that came before go before."""
        self._settle_acks()
        self._mark(root, FAIL)

    def reset_timeout(self, root: int) -> None:
        """Give a root's tree its timeout again."""
        self._mark(root, RESET)

    def echo(self, roots: bytes, edges: bytes, *, distinct: bool) -> None:
        """Ack whole rows of one spout task without children: their columns are the outcome."""
        self._settle_acks()
        task = int.from_bytes(roots[6:8], "little")
        payload = encode_outcomes(b"", roots, edges, distinct=distinct)
        self._frames.append((Kind.OUTCOMES, task, self._source, payload))

    def take(self) -> list[Frame]:
        """Return and forget the frames to send."""
        self._settle_acks()
        frames, self._frames = self._frames, []
        return frames

    def _mark(self, root: int, kind: int) -> None:
        payload = encode_outcomes(
            bytes([kind]), root.to_bytes(8, "little"), bytes(8), distinct=True
        )
        self._frames.append((Kind.OUTCOMES, root >> TASK_SHIFT, self._source, payload))

    def _settle_acks(self) -> None:
        if not self._acks:
            return
        acks, self._acks = self._acks, {}
        roots = list(acks)
        first = roots[0] >> TASK_SHIFT
        if all(root >> TASK_SHIFT == first for root in roots):
            self._send_acks(first, roots, list(acks.values()))
            return
        by_task: dict[int, list[int]] = {}
        for root in roots:
            by_task.setdefault(root >> TASK_SHIFT, []).append(root)
        for task, part in by_task.items():
            self._send_acks(task, part, [acks[root] for root in part])

    def _send_acks(self, task: int, roots: list[int], xors: list[int]) -> None:
        payload = encode_outcomes(
            b"", array("Q", roots).tobytes(), array("Q", xors).tobytes(), distinct=True
        )
        self._frames.append((Kind.OUTCOMES, task, self._source, payload))


def of_one_task(roots: bytes) -> bool:
    """Return whether all roots of a column belong to one spout task (no numpy: bolts lack it)."""
    count = len(roots) // 8
    low, high = roots[6::8], roots[7::8]
    return low.count(low[0]) == count and high.count(high[0]) == count
