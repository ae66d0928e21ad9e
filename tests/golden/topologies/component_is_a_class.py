"""The class and an object instead of a spec."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines
    split = Split()
    count = Count.spec(inputs=[lines])
