"""One attribute for two components."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs=[lines])
    split = Count.spec(inputs=[split])
