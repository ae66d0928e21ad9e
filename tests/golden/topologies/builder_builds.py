"""A definition that is wrong when the file is imported."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


definition = TopologyBuilder("wrong").bolt("split", Split.spec(inputs=["lines"])).build()
