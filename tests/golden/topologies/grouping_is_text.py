"""Groupings as text."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs={lines: "shuffle"})
    count = Count.spec(inputs={split: "feilds"})
    other = Count.spec(inputs={split: None})
