"""A constructor argument that is not given."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Numbers(Spout):
    outputs = ["number"]

    def __init__(self, start, step=1):
        self.next = start

    def next_tuple(self):
        self.emit([self.next])


class Wrong(Topology):
    numbers = Numbers.spec(step=2)
