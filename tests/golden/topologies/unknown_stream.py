"""A stream that the component does not declare."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(
        inputs=[
            lines,
            lines["error"],
        ]
    )
    count = Count.spec(inputs=[split["words"]])
