# child: 20
"""A crash outside Python."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


import os
import signal

os.kill(os.getpid(), signal.SIGSEGV)
