"""The engine cannot await."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    async def execute(self, tup):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
