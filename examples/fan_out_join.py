"""Prices an order in two bolts at once and joins the results: anchors to several tuples.

Each order goes to `price` and to `ship`; `join` waits for both answers. It acks by itself, because
the first answer must stay open until the second has come: if either is lost, the order fails, and
the spout emits it again, as a new attempt whose answers must not be mixed with older ones.
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

    outputs = {
        "default": ["order", "attempt", "item", "count"],
        "unknown": Stream(["order", "item"]),
    }

    def __init__(self, orders: list[list[Any]]) -> None:
        self.orders = dict(enumerate(orders))
        self.attempts = dict.fromkeys(self.orders, 0)
        self.to_emit = list(self.orders)[::-1]

    def next_tuple(self) -> None:
        """Emit one order; its number is the message id."""
        if not self.to_emit:
            return
        number = self.to_emit.pop()
        item, count = self.orders[number]
        if item in PRICES:
            self.emit([number, self.attempts[number], item, count], id=number)
        else:
            self.emit([number, item], stream="unknown", id=number)

    def fail(self, id: int) -> None:
        """Emit the order again."""
        self.attempts[id] += 1
        self.to_emit.append(id)


class Price(Bolt):
    """Answers with the price of the goods."""

    outputs = ["order", "attempt", "part", "cents"]

    def execute(self, tup: Tuple) -> None:
        """Emit the price, anchored to the order."""
        cents = PRICES[tup["item"]] * tup["count"]
        self.emit([tup["order"], tup["attempt"], "price", cents])


class Ship(Bolt):
    """Answers with the cost of sending; the carrier is busy at each task's first order."""

    outputs = ["order", "attempt", "part", "cents"]

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Read the fee from the topology's configuration."""
        self.fee = int(config["shipping.fee"])
        self.busy = True

    def execute(self, tup: Tuple) -> None:
        """Emit the cost, or fail the order."""
        if self.busy:
            self.busy = False
            raise FailTuple
        self.emit([tup["order"], tup["attempt"], "shipping", self.fee * tup["count"]])


class Join(Bolt):
    """Emits an order's total when both parts are there."""

    outputs = ["order", "total"]
    auto_ack = False

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Start from nothing."""
        self.waiting: dict[int, Tuple] = {}

    def execute(self, tup: Tuple) -> None:
        """Keep the first part; with the second, emit the sum anchored to both, and ack both."""
        first = self.waiting.pop(tup["order"], None)
        if first is None:
            self.waiting[tup["order"]] = tup
        elif first["attempt"] == tup["attempt"]:
            self.emit([tup["order"], first["cents"] + tup["cents"]], anchors=[first, tup])
            self.ack(first)
            self.ack(tup)
        else:
            # The older part belongs to a tree that has failed.
            newer, older = (tup, first) if tup["attempt"] > first["attempt"] else (first, tup)
            self.ack(older)
            self.waiting[tup["order"]] = newer


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
