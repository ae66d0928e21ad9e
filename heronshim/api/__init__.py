"""What an author of topologies imports."""

from heronshim.api.components import Bolt, CustomGrouping, FailTuple, Spout
from heronshim.api.context import Context, Counter, Gauge
from heronshim.api.grouping import Grouping
from heronshim.api.hooks import TaskHook
from heronshim.api.spec import ComponentSpec, Stream, StreamRef
from heronshim.api.topology import Topology, TopologyBuilder
from heronshim.api.tuple import Tuple

__all__ = [
    "Bolt",
    "ComponentSpec",
    "Context",
    "Counter",
    "CustomGrouping",
    "FailTuple",
    "Gauge",
    "Grouping",
    "Spout",
    "Stream",
    "StreamRef",
    "TaskHook",
    "Topology",
    "TopologyBuilder",
    "Tuple",
]
