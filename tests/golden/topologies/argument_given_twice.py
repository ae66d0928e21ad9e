"""As keyword and in args."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(path="x.txt", args={"path": "y.txt", 3: "z"})
