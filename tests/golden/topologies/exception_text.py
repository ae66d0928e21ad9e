"""An exception whose text is long and holds control characters."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


raise ValueError("red \x1b[31m text\n" + "and more " * 100)
