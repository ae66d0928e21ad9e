"""Components, but no topology."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    def execute(self, tup):
        pass
