"""A name that cannot name a folder."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology, name="word/count"):
    lines = Lines.spec()
