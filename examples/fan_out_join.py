"""Prices an order in two bolts at once and joins the results: anchors to several tuples.

Each order goes to `price` and to `ship`; `join` waits for both answers. It acks by itself, because
the first answer must stay open until the second has come: if either is lost, the order fails, and
the spout emits it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim.api import Bolt, FailTuple, Grouping, Spout, Stream, TopologyBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api import Context, Tuple

PRICES = {"book": 12, "lamp": 40, "pen": 2}


class Orders(Spout):
    """Emits orders until each is done; those of unknown goods go to a stream of their own."""

    outputs = {"default": ["order", "item", "count"], "unknown": Stream(["order", "item"])}

    def __init__(self, orders: list[list[Any]]) -> None:
        self.orders = dict(enumerate(orders))
        self.to_emit = list(self.orders)[::-1]

    def next_tuple(self) -> None:
        """Emit one order; its number is the message id."""
        if not self.to_emit:
            return
        number = self.to_emit.pop()
        item, count = self.orders[number]
        if item in PRICES:
            self.emit([number, item, count], id=number)
        else:
            self.emit([number, item], stream="unknown", id=number)

    def fail(self, id: int) -> None:
        """Emit the order again."""
        self.to_emit.append(id)


class Price(Bolt):
    """Answers with the price of the goods."""

    outputs = ["order", "part", "cents"]

    def execute(self, tup: Tuple) -> None:
        """Emit the price, anchored to the order."""
        self.emit([tup["order"], "price", PRICES[tup["item"]] * tup["count"]])


class Ship(Bolt):
    """Answers with the cost of sending; the carrier is busy at each task's first order."""

    outputs = ["order", "part", "cents"]

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Read the fee from the topology's configuration."""
        self.fee = int(config["shipping.fee"])
        self.busy = True

    def execute(self, tup: Tuple) -> None:
        """Emit the cost, or fail the order."""
        if self.busy:
            self.busy = False
            raise FailTuple
        self.emit([tup["order"], "shipping", self.fee * tup["count"]])


class Join(Bolt):
    """Emits an order's total when both parts are there."""

    outputs = ["order", "total"]
    auto_ack = False

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Start from nothing."""
        self.waiting: dict[int, dict[str, Tuple]] = {}

    def execute(self, tup: Tuple) -> None:
        """Keep the first part; with the second, emit the sum anchored to both, and ack both."""
        parts = self.waiting.setdefault(tup["order"], {})
        if tup["part"] in parts:
            # The order was emitted again: the old part belongs to a tree that has failed.
            self.ack(parts[tup["part"]])
        parts[tup["part"]] = tup
        if len(parts) == 2:
            del self.waiting[tup["order"]]
            total = sum(part["cents"] for part in parts.values())
            self.emit([tup["order"], total], anchors=list(parts.values()))
            for part in parts.values():
                self.ack(part)


class Totals(Bolt):
    """Keeps all totals, and what could not be priced."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Start from nothing."""
        self.totals: dict[int, int] = {}
        self.unknown: list[str] = []

    def execute(self, tup: Tuple) -> None:
        """Keep one."""
        if tup.stream == "unknown":
            self.unknown.append(tup["item"])
        else:
            self.totals[tup["order"]] = tup["total"]


orders = Orders.spec(orders=[["book", 2], ["lamp", 1], ["boat", 1], ["pen", 10]])
topology = (
    TopologyBuilder("fan-out-join")
    .options(containers=2, message_timeout_s=10)
    .config({"shipping.fee": 3})
    .spout("orders", orders)
    .bolt("price", Price.spec(inputs=["orders"], parallelism=2))
    .bolt("ship", Ship.spec(inputs=["orders"]))
    .bolt(
        "join",
        Join.spec(
            inputs={"price": Grouping.fields("order"), "ship": Grouping.fields("order")},
            parallelism=2,
        ),
    )
    .bolt(
        "totals",
        Totals.spec(inputs={"join": Grouping.global_(), orders["unknown"]: Grouping.global_()}),
    )
)
