"""Numbers of executors and tasks that are none."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(parallelism="2")
    split = Split.spec(inputs=[lines], parallelism=True)
    count = Count.spec(inputs=[split], tasks=2.5)
