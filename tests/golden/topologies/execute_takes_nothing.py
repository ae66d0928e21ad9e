"""An execute that takes no tuple."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    def execute(self):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
