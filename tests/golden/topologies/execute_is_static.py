"""A static method and an attribute where methods are called."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    prepare = None

    @staticmethod
    def execute(tup):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
