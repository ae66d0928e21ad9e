"""Configuration that is no mapping."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    config = "a=b"
    lines = Lines.spec(config=["a"])
