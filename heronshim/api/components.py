"""Base classes of an author's spouts and bolts.

The engine binds `emit`, `ack` and their like to each object before `open` or `prepare`; the
methods here give them types and documentation, and say so when they are called too early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from heronshim.api.spec import ComponentSpec
from heronshim.core.plan.topology import DEFAULT_STREAM, ComponentKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.api.context import Context
    from heronshim.api.spec import Inputs, Outputs
    from heronshim.api.tuple import Tuple


def _unbound(name: str) -> NoReturn:
    msg = f"{name} was called before the engine opened the component, or outside a topology"
    raise RuntimeError(msg)


class Spout:
    """A source of tuples. Override `next_tuple` and what else you need."""

    outputs: ClassVar[Any] = ()
    """Field names of the default stream, or a mapping of stream id to field names or Stream."""

    @classmethod
    def spec(
        cls,
        *,
        name: str | None = None,
        parallelism: int = 1,
        tasks: int | None = None,
        outputs: Outputs | None = None,
        options: Mapping[str, object] | None = None,
        config: Mapping[str, object] | None = None,
        args: Mapping[str, object] | None = None,
        **arguments: object,
    ) -> ComponentSpec:
        """Declare a component of this class.

        Every other keyword is an argument of the constructor; `args` holds those whose names
        `spec` keeps for itself. Nothing is checked before the topology is built.

        Args:
            name: the component's id; by default the attribute that the spec is assigned to.
            parallelism: executors, from 1.
            tasks: at least `parallelism`; by default as many.
            outputs: instead of the class's `outputs`.
            options: fields of heronshim.config.ComponentOptions.
            config: the author's own configuration, over the topology's, key by key.
            args: constructor arguments by name.
        """
        return ComponentSpec(
            ComponentKind.SPOUT,
            cls,
            name=name,
            parallelism=parallelism,
            tasks=tasks,
            inputs=None,
            outputs=outputs,
            options=options,
            config=config,
            args=args,
            arguments=arguments,
        )

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        """Called once before anything else."""

    def close(self) -> None:
        """Called at the end, best effort."""

    def activate(self) -> None:
        """Called before `next_tuple` is called for the first time, and after each deactivation."""

    def deactivate(self) -> None:
        """Called when the topology is deactivated: `next_tuple` is not called until activation."""

    def next_tuple(self) -> None:
        """Emit what there is, usually one tuple, and return at once; nothing is fine too."""
        msg = f"{type(self).__name__} does not define next_tuple"
        raise NotImplementedError(msg)

    def ack(self, id: Any) -> None:  # noqa: A002
        """The tree of the tuple emitted with this id is complete."""

    def fail(self, id: Any) -> None:  # noqa: A002
        """The tree of the tuple emitted with this id failed or timed out."""

    def emit(
        self,
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        """Emit a tuple and return the tasks it goes to; with an id its tree is tracked.

        Raises:
            ValueError: the stream is not declared, or is direct.
        """
        _unbound("emit")

    def emit_direct(
        self,
        task: int,
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        """Emit to one task on a direct stream; returns no task if it does not subscribe.

        Raises:
            ValueError: the stream is not declared direct.
        """
        _unbound("emit_direct")

    def report_error(self, error: BaseException | str) -> None:
        """Show an error in `heronshim errors` without failing anything."""
        _unbound("report_error")


class Bolt:
    """Takes tuples. Override `execute` and what else you need."""

    outputs: ClassVar[Any] = ()
    """Field names of the default stream, or a mapping of stream id to field names or Stream."""
    auto_ack: ClassVar[bool] = True
    """Whether a tuple is acked when `execute` returns (Storm's BasicBolt)."""
    auto_anchor: ClassVar[bool] = True
    """Whether emits inside `execute` are anchored to its tuple."""
    holds_tuples: ClassVar[bool] = False
    """Whether tuples are acked late (windows, batches, state): no fail_fast in spouts upstream."""

    @classmethod
    def spec(
        cls,
        *,
        name: str | None = None,
        parallelism: int = 1,
        tasks: int | None = None,
        inputs: Inputs | None = None,
        outputs: Outputs | None = None,
        options: Mapping[str, object] | None = None,
        config: Mapping[str, object] | None = None,
        args: Mapping[str, object] | None = None,
        **arguments: object,
    ) -> ComponentSpec:
        """Declare a component of this class.

        Every other keyword is an argument of the constructor; `args` holds those whose names
        `spec` keeps for itself. Nothing is checked before the topology is built.

        Args:
            name: the component's id; by default the attribute that the spec is assigned to.
            parallelism: executors, from 1.
            tasks: at least `parallelism`; by default as many.
            inputs: a list of components or streams to shuffle from, or a mapping to groupings.
            outputs: instead of the class's `outputs`.
            options: fields of heronshim.config.ComponentOptions.
            config: the author's own configuration, over the topology's, key by key.
            args: constructor arguments by name.
        """
        return ComponentSpec(
            ComponentKind.BOLT,
            cls,
            name=name,
            parallelism=parallelism,
            tasks=tasks,
            inputs=inputs,
            outputs=outputs,
            options=options,
            config=config,
            args=args,
            arguments=arguments,
        )

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Called once before the first tuple."""

    def cleanup(self) -> None:
        """Called at the end, best effort."""

    def execute(self, tup: Tuple) -> None:
        """Take one tuple. Raising fails it (see the option on_user_exception)."""
        msg = f"{type(self).__name__} does not define execute"
        raise NotImplementedError(msg)

    def emit(
        self,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        """Emit a tuple and return the tasks it goes to.

        `anchors`: None takes the tuple in hand if `auto_anchor`; an empty list anchors to none.

        Raises:
            ValueError: the stream is not declared, or is direct.
        """
        _unbound("emit")

    def emit_direct(
        self,
        task: int,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        """Emit to one task on a direct stream; returns no task if it does not subscribe.

        Raises:
            ValueError: the stream is not declared direct.
        """
        _unbound("emit_direct")

    def ack(self, tup: Tuple) -> None:
        """The tuple is done."""
        _unbound("ack")

    def fail(self, tup: Tuple) -> None:
        """The tuple's tree fails at once."""
        _unbound("fail")

    def reset_timeout(self, tup: Tuple) -> None:
        """Give the tuple's tree its whole timeout again."""
        _unbound("reset_timeout")

    def report_error(self, error: BaseException | str) -> None:
        """Show an error in `heronshim errors` without failing anything."""
        _unbound("report_error")


class FailTuple(Exception):  # noqa: N818 - a command, as Storm's FailedException is
    """Raise in `execute` to fail the tuple without an error report (Storm's FailedException)."""


class CustomGrouping:
    """Chooses tasks itself. Name the class in `Grouping.custom`."""

    def prepare(
        self, context: Context | None, component: str, stream: str, tasks: Sequence[int]
    ) -> None:
        """Called once with the consumer's ascending task ids."""

    def choose_tasks(self, values: Sequence[Any]) -> Sequence[int]:
        """Return the tasks that get a tuple of these values: none, one or several."""
        msg = f"{type(self).__name__} does not define choose_tasks"
        raise NotImplementedError(msg)
