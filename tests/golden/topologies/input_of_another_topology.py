"""A spec that is in no topology."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


stray = Lines.spec()


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs=[lines, stray])
