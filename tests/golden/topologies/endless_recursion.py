"""A function that calls itself."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


def deeper(values):
    return deeper([values])


class Wrong(Topology):
    lines = Lines.spec(path=deeper([]))
