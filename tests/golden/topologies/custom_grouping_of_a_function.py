"""A function instead of a class."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


def choose(values):
    return [1]


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs={lines: Grouping.custom(choose)})
    other = Split.spec(inputs={lines: Grouping.custom(Bolt)})
