"""A class that instances cannot import."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


def make():
    class Upper(Bolt):
        def execute(self, tup):
            pass

    return Upper


class Wrong(Topology):
    lines = Lines.spec()
    upper = make().spec(inputs=[lines])
