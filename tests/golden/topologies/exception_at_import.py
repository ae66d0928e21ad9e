"""An exception in the author's own code."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


RATES = {"low": 1}


def rate(name):
    return RATES[name]


class Wrong(Topology):
    lines = Lines.spec(path=str(rate("high")))
