"""Which one?"""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class First(Topology):
    lines = Lines.spec()


class Second(Topology):
    lines = Lines.spec()


third = TopologyBuilder("third")
