"""At least one executor and task."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    lines = Lines.spec(parallelism=0)
    split = Split.spec(inputs=[lines], tasks=-1)
