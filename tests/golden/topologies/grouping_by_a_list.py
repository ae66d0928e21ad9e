"""A list where names are expected."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs={lines: Grouping.fields(["line"])})
    other = Split.spec(inputs={lines: Grouping.fields(0)})
