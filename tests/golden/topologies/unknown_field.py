"""A field that the stream does not have."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs=[lines])
    count = Count.spec(
        inputs={
            split: Grouping.fields("wrod"),
            lines["errors"]: Grouping.partial_key("line", "raeson"),
        }
    )
