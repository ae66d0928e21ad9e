"""A generator instead of emits."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Numbers(Spout):
    outputs = ["number"]

    def next_tuple(self):
        yield [1]


class Wrong(Topology):
    numbers = Numbers.spec()
