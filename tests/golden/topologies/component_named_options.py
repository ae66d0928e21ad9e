"""A component under the name of a setting."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    options = Lines.spec()
    lines = Lines.spec()
