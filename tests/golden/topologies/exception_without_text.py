"""An exception whose text cannot be read."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Sly(Exception):
    def __str__(self):
        raise RuntimeError


raise Sly
