"""An input by a misspelt id."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


builder = TopologyBuilder("wrong")
builder.spout("lines", Lines.spec())
builder.bolt(
    "split",
    Split.spec(
        inputs=["line"],
    ),
)
