"""A field name used twice, a reserved stream."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(
        outputs={"default": ["line", "line"], "__tick": ["seconds"], "odd": [""]},
    )
