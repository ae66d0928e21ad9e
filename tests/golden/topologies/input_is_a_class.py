"""The class, an object, a pair and nothing instead of a spec."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs=[Lines])
    other = Split.spec(inputs=[Lines()])
    third = Split.spec(inputs=[("lines", "errors")])
    last = Split.spec(inputs=[None])
