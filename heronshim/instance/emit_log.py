"""Logs each emit of one task: the component option `debug` (Storm's topology.debug)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim.api.hooks import TaskHook
from heronshim.core.io.logs import log_event

if TYPE_CHECKING:
    from collections.abc import Sequence


class EmitLog(TaskHook):
    """Writes one line for each emit to the log of the process; long values are cut there."""

    def __init__(self, component: str, task: int) -> None:
        self._component = component
        self._task = task

    def emit(self, values: Sequence[Any], stream: str, tasks: Sequence[int]) -> None:
        """Log an emit with its values."""
        log_event(
            "DEBUG",
            "emit",
            component=self._component,
            task=self._task,
            stream=stream,
            targets=",".join(map(str, tasks)),
            values=_shown(values),
        )


def _shown(values: Sequence[Any]) -> str:
    try:
        return repr(values)
    except Exception:  # noqa: BLE001 - __repr__ is the author's code
        return "(cannot be shown)"
