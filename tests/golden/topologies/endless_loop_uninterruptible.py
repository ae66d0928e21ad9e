# child: 0.5
"""A file that never ends and holds on."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


while True:
    try:
        while True:
            pass
    except BaseException:
        pass
