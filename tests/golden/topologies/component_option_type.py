"""A number as text."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs=[lines], options={"tick_interval_s": "1"})
