"""A bolt whose execute is misspelt."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Upper(Bolt):
    outputs = ["word"]

    def excecute(self, tup):
        self.emit([tup["word"].upper()])


class Wrong(Topology):
    lines = Lines.spec()
    upper = Upper.spec(inputs=[lines])
