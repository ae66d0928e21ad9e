"""Fields without an order, and things that are no fields."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    outputs = {
        "default": {"word"},
        "numbers": [1, 2],
        "nothing": None,
        3: ["a"],
    }

    def execute(self, tup):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
