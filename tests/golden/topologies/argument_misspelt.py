"""A misspelt argument of the constructor."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(parallelism=1, pth="x.txt")
