"""An exception in a library that a module of the author's calls."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


import _reads_settings


class Wrong(Topology):
    lines = Lines.spec()
