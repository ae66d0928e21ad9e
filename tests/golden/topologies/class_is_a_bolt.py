# load: :Count
"""The class of a component instead of the topology's."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class WordCount(Topology):
    lines = Lines.spec()
