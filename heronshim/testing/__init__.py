"""For authors' tests: one bolt on its own, or a whole topology with a virtual clock."""

from heronshim.testing.complete import complete_topology, read_tuples
from heronshim.testing.local_topology import LocalTopology
from heronshim.testing.run_bolt import BoltRun, Emit, SpoutRun, run_bolt, run_spout
from heronshim.testing.tuples import FixedTuple, make_tuple, tick_tuple

__all__ = [
    "BoltRun",
    "Emit",
    "FixedTuple",
    "LocalTopology",
    "SpoutRun",
    "complete_topology",
    "make_tuple",
    "read_tuples",
    "run_bolt",
    "run_spout",
    "tick_tuple",
]
