"""A misspelt name of the API."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


from heronshim.api import Gruoping


class Wrong(Topology):
    lines = Lines.spec()
