"""A spout with Storm's Java name for next_tuple."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Numbers(Spout):
    outputs = ["number"]

    def nextTuple(self):
        self.emit([1])


class Wrong(Topology):
    numbers = Numbers.spec()
