"""A script that ends itself."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


import sys

if len(sys.argv) != 99:
    sys.exit("usage: sys_exit.py FILE")
