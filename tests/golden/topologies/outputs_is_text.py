"""A field name instead of a list."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    outputs = "word"

    def execute(self, tup):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
    other = Split.spec(inputs=[lines], outputs={"default": "word"})
