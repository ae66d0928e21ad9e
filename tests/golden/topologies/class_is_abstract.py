"""A component with abstract methods left."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


from abc import ABC, abstractmethod


class Filter(Bolt, ABC):
    @abstractmethod
    def keeps(self, tup): ...

    def execute(self, tup):
        if self.keeps(tup):
            self.emit(tup.values)


class Wrong(Topology):
    lines = Lines.spec()
    filtered = Filter.spec(inputs=[lines])
