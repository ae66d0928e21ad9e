# child: 0.5
"""A file that never ends."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


def run():
    while True: pass


run()
