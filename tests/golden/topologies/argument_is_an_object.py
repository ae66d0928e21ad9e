"""Objects that no other process can get."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


from pathlib import Path


class Wrong(Topology):
    lines = Lines.spec(
        path=Path("x.txt"),
    )
    other = Lines.spec(path={"rates": [1, 2, {3}]})
