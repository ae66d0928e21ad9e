"""Nothing makes tuples."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    split = Split.spec(inputs=["count"])
    count = Count.spec(inputs=[split])
