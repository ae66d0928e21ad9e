"""A misspelt option of the topology."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    options = {
        "containers": 2,
        "mesage_timeout_s": 30,
    }
    lines = Lines.spec()
