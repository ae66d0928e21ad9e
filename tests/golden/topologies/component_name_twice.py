"""Two components of one name."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    more = Lines.spec(
        path="y.txt",
        name="lines",
    )
    other = Lines.spec(name=7)
