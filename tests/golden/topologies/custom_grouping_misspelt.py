"""A custom grouping without choose_tasks, and with an unknown argument."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class ByLength(CustomGrouping):
    def __init__(self, limit=10):
        self.limit = limit

    def choose_task(self, values):
        return [1]


class Wrong(Topology):
    lines = Lines.spec()
    split = Split.spec(
        inputs={lines: Grouping.custom(ByLength, limt=3)},
    )
