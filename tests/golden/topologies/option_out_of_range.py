"""Values outside their range."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    options = {
        "containers": 0,
        "message_timeout_s": "30",
        "message_timeouts": 1,
    }
    lines = Lines.spec()
