"""Spouts are added with spout, bolts with bolt."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


builder = TopologyBuilder("wrong")
lines = Lines.spec()
builder.bolt("lines", lines)
builder.spout("split", Split.spec(inputs=[lines]))
builder.spout("more", Lines)
