"""The engine's own method, defined by the author."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    outputs = ["word"]

    def execute(self, tup):
        self.emit(tup["line"])

    def emit(self, word):
        super().emit([word.upper()])


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
