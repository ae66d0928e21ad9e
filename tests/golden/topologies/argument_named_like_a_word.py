"""A constructor argument that spec takes for itself."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Reader(Spout):
    outputs = ["line"]

    def __init__(self, name):
        self.name = name

    def next_tuple(self):
        pass


class Wrong(Topology):
    reader = Reader.spec(name="x.txt")
