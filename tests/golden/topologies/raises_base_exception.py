"""Not even an Exception."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Stop(BaseException):
    pass


raise Stop("enough")
