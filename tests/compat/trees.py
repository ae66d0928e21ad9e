"""A spout, a bolt in the middle that does a deed, a sink: what the tests of tuple trees run."""

from __future__ import annotations

from typing import Any

from heronshim.api import TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Rich, Run, Sink

T_S = 4.0
"""The message timeout of tests that wait for it, in virtual seconds."""
LATE_S = 0.15
"""How much later a spout may hear of a timeout: it is called at least every 0.1 s when idle."""
WORDS = [[f"w{number}"] for number in range(10)]
ALL = list(range(10))


class Acks(Rich):
    """Acks each tuple."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.ack(tup)


class Relays(Rich):
    """Emits each tuple's values again, anchored, then acks it: an ordinary rich bolt."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values, anchors=[tup])
        self.ack(tup)


class Deed(Rich):
    """An ordinary rich bolt that does something else with w3."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "w3":
            self.deed(tup)
        else:
            self.emit(tup.values, anchors=[tup])
            self.ack(tup)

    def deed(self, tup: Tuple) -> None:
        raise NotImplementedError


class Holds(Rich):
    """Keeps tuples until a test settles them."""


class FailsSink(Rich):
    """Fails w3 and acks the rest."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        (self.fail if tup[0] == "w3" else self.ack)(tup)


def chain(
    mid: type[Sink] = Relays,
    sink: type[Sink] = Acks,
    rows: list[Any] | None = None,
    feed: type[Feed] = Feed,
    spout: dict[str, Any] | None = None,
    **options: Any,
) -> TopologyBuilder:
    """Spout "z" -> "mid" -> "sink"."""
    return (
        TopologyBuilder("trees")
        .options(message_timeout_s=T_S, **options)
        .spout("z", feed.spec(rows=rows or WORDS, **(spout or {})))
        .bolt("mid", mid.spec(inputs=["z"]))
        .bolt("sink", sink.spec(inputs=["mid"]))
    )


def settled(run: Run) -> tuple[list[Any], list[Any]]:
    """What the spout heard: (acks, fails), sorted."""
    return sorted(run.heard("z", "ack")), sorted(run.heard("z", "fail"))


def part(run: Run, component: str) -> Any:
    (found,) = run.objects(component)
    return found
