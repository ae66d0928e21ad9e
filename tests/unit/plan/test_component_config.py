"""A component's configuration and options override the topology's (semantics 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heronshim.api.components import Bolt, Spout
from heronshim.api.context import Context
from heronshim.api.topology import TopologyBuilder
from heronshim.testing.local_topology import LocalTopology


class Source(Spout):
    outputs = ("number",)

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self.config = dict(config)
        self.left = 5

    def next_tuple(self) -> None:
        if self.left:
            self.left -= 1
            self.emit([self.left], id=self.left)


class Sink(Bolt):
    auto_ack = False

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self.config = dict(config)

    def execute(self, tup: Any) -> None:
        """Hold the tuple: its tree stays open."""


def test_s03_component_config_overrides_the_topologys_key_by_key() -> None:
    source = Source.spec(config={"rate": 2, "own": True}, options={"max_spout_pending": 2})
    builder = TopologyBuilder("layers").spout("source", source)
    builder.bolt("sink", Sink.spec(inputs=[source]))
    builder.options(max_spout_pending=4).config({"rate": 1, "shared": ["x"]})
    with LocalTopology(builder) as running:
        running.run_for(1)
        (spout,), (bolt,) = running.objects("source"), running.objects("sink")
    assert spout.config == {"rate": 2, "own": True, "shared": ["x"]}
    assert bolt.config == {"rate": 1, "shared": ["x"]}
    assert spout.left == 3, "the component's max_spout_pending holds"
