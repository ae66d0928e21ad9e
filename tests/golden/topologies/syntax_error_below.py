"""A syntax error in a module that the file imports."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


import _broken


class Wrong(Topology):
    lines = Lines.spec()
