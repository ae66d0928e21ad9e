"""Ids that the engine keeps for itself."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(name="__acker")
    split = Split.spec(name="a/b", inputs=[lines])
    count = Count.spec(name="", inputs=[split])
