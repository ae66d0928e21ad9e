"""A word that is none of the choices."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    options = {"delivery": "at_least_onse"}
    lines = Lines.spec()
