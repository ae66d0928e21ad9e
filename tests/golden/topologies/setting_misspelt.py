"""A setting of the topology that it does not have."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    option = {"containers": 2}
    lines = Lines.spec()
