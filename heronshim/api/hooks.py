"""Task hooks: called at each event of one task (Storm's ITaskHook)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.api.tuple import Tuple


class TaskHook:
    """Override what you need. A hook runs in the task's thread and must not block."""

    def emit(self, values: Sequence[Any], stream: str, tasks: Sequence[int]) -> None:
        """A tuple was emitted to `tasks`."""

    def spout_ack(self, message_id: Any, latency_ms: float) -> None:
        """A tree completed."""

    def spout_fail(self, message_id: Any, latency_ms: float) -> None:
        """A tree failed; `latency_ms` is not measured and 0."""

    def bolt_execute(self, tup: Tuple, latency_ms: float) -> None:
        """A tuple was executed."""

    def bolt_ack(self, tup: Tuple) -> None:
        """A tuple was acked."""

    def bolt_fail(self, tup: Tuple) -> None:
        """A tuple was failed."""

    def cleanup(self) -> None:
        """The task ends."""
