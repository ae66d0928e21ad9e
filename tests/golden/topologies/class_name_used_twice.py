"""Two classes of one name: the first cannot be found any more."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Step(Bolt):
    outputs = ["line"]

    def execute(self, tup):
        self.emit(tup.values)


first = Step.spec(inputs=["lines"])


class Step(Bolt):
    def execute(self, tup):
        pass


class Wrong(Topology):
    lines = Lines.spec()
    one = first
    two = Step.spec(inputs=[one])
