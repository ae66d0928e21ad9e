"""A relative import in a file that was not given as part of a package."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


from ._parts import Lines as Others
