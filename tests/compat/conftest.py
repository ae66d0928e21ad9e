"""Topologies in one process, and the components that most of these tests are made of.

The rules are Storm's: the numbers in the names of tests are those of the list of semantics that
the project checks (`test_s21_...` checks number 21), and "Storm:" in a docstring says what Storm
2.8.3 did when it was run. Where heronshim differs on purpose a line "Differs:" says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from heronshim.api import Bolt, Context, Spout, TaskHook, Tuple
from heronshim.core.plan.topology import DEFAULT_STREAM
from heronshim.testing.local_topology import LocalTopology

HOOKED, SHORT = "hooked", "short"


class Note(NamedTuple):
    """One thing that a component did or heard."""

    at_s: float
    component: str
    task: int
    what: str
    value: Any


class Run(LocalTopology):
    """A topology whose components write notes, in the order of virtual time."""

    def __init__(self, *arguments: Any, hooked: bool, **keywords: Any) -> None:
        self._hooked = hooked
        self.notes: list[Note] = []
        super().__init__(*arguments, **keywords)

    def heard(self, component: str, what: str) -> list[Any]:
        """Values of the notes of one kind, in order."""
        return [
            note.value for note in self.notes if (note.component, note.what) == (component, what)
        ]

    def times_s(self, component: str, what: str) -> list[float]:
        """Virtual times of the notes of one kind, in order."""
        return [
            note.at_s for note in self.notes if (note.component, note.what) == (component, what)
        ]

    def task_ids(self, component: str) -> list[int]:
        """Task ids of a component."""
        return [part.context.task_id for part in self.objects(component)]

    def sleep(self, seconds: float) -> None:
        """A component blocks for so long."""
        self._engine.now_ns += round(seconds * 1e9)

    def until(self, done: Callable[[], object], limit_s: float = 60.0) -> None:
        """Run until something is true; fail after so many virtual seconds."""
        end_s = self.now_s + limit_s
        while not done():
            assert self.now_s < end_s, f"still not so after {limit_s} s"
            self.run_for(0.01)

    def _load(self, name: str, arguments: Mapping[str, object]) -> object:
        made: Any = super()._load(name, arguments)
        if isinstance(made, (Spout, Bolt)):
            made.run = self
        return made

    def _opened(
        self, made: Spout | Bolt, call: Callable[[Mapping[str, Any], Context], None]
    ) -> Callable[[Mapping[str, Any], Context], None]:
        """Unlike LocalTopology, add no hook but where asked: hooks switch off the short paths."""

        def opened(config: Mapping[str, Any], context: Context) -> None:
            self._objects[context.task_id] = made
            if self._hooked:
                context.add_hook(TaskHook())
            call(config, context)

        return opened


class Noting:
    """Gives a component `note` and its context."""

    run: Run
    context: Context

    def keep(self, config: Mapping[str, Any], context: Context) -> None:
        self.config = config
        self.context = context

    def note(self, what: str, value: Any = None) -> None:
        context = self.context
        self.run.notes.append(
            Note(self.run.now_s, context.component_id, context.task_id, what, value)
        )


class Feed(Noting, Spout):
    """Emits rows, `per_call` a call, with their numbers from 0 as message ids."""

    outputs = ["word"]

    def __init__(
        self,
        rows: list[Any] | None = None,
        reliable: bool = True,
        per_call: int = 1,
        stream: str = DEFAULT_STREAM,
        again: bool = False,
    ) -> None:
        self.rows = rows or []
        self.reliable = reliable
        self.per_call = per_call
        self.stream = stream
        self.again = again
        self.waiting: list[int] = []
        self.returned: list[list[int]] = []
        """What each emit returned."""

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self.keep(config, context)
        self.note("open")
        self.waiting = list(range(len(self.rows)))

    def activate(self) -> None:
        self.note("activate")

    def deactivate(self) -> None:
        self.note("deactivate")

    def close(self) -> None:
        self.note("close")

    def next_tuple(self) -> None:
        for _ in range(min(self.per_call, len(self.waiting))):
            number = self.waiting.pop(0)
            self.note("emit", number)
            made = number if self.reliable else None
            self.returned.append(list(self.emit(self.rows[number], id=made, stream=self.stream)))

    def ack(self, id: Any) -> None:
        self.note("ack", id)

    def fail(self, id: Any) -> None:
        self.note("fail", id)
        if self.again:
            self.waiting.append(id)


class Sink(Noting, Bolt):
    """Keeps what it gets."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self.keep(config, context)
        self.tuples: list[Tuple] = []
        self.note("prepare")

    def execute(self, tup: Tuple) -> None:
        self.tuples.append(tup)
        self.note("execute", tup.values)

    def cleanup(self) -> None:
        self.note("cleanup")


class Rich(Sink):
    """Storm's BaseRichBolt: nothing is acked and nothing anchored but by the author's calls."""

    outputs = ["word"]
    auto_ack = False
    auto_anchor = False


class Pass(Sink):
    """Storm's BaseBasicBolt: emits each tuple's values again, anchored, and acks it."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values)


@pytest.fixture(params=[SHORT, HOOKED])
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Run]]:
    """Start a topology; each test runs on the engine's short paths and on the general one."""
    made: list[Run] = []

    def start_run(topology: Any, **keywords: Any) -> Run:
        made.append(Run(topology, hooked=request.param == HOOKED, **keywords))
        return made[-1]

    yield start_run
    for run in made:
        run.close()
