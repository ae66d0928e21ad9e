"""One id for two components, and a spec with another name."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


builder = TopologyBuilder("wrong").options(containrs=2).config({"a": {1}})
builder.spout("lines", Lines.spec())
builder.spout("lines", Lines.spec(path="y.txt"))
builder.spout(
    "more",
    Lines.spec(
        name="others",
    ),
)
builder.config("a=b")
