"""Direct grouping and direct streams belong together."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(inputs={lines: Grouping.direct()})
    other = Split.spec(inputs={lines["parts"]: Grouping.shuffle()})
