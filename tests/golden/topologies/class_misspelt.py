# load: :WordCuont
"""The right file, a misspelt class."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class WordCount(Topology):
    lines = Lines.spec()


class Other(Topology):
    lines = Lines.spec()
