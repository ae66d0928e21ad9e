"""Configuration that no other language can read."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    config = {
        "limits": {"high": 1 << 70},
        "when": object(),
        5: "five",
    }
    lines = Lines.spec(config={"lines.pattern": {"a", "b"}})
