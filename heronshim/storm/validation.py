"""Storm's own checks of a submitted topology, in Storm's order and words.

Source: Utils.validateTopologyName, StormCommon.validateBasic and validateStructure, Storm 2.8.3.
What heronshim asks beyond that is `core/plan/validation.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from heronshim.storm.config_values import TASKS, integer
from heronshim.storm.errors import InvalidTopologyError
from heronshim.storm.normalization import component_conf, components, parallelism_hint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from heronshim.storm.thrift_codec import Structure

NAME_PATTERN = r"^[^/.:\\]+$"
SYSTEM_PREFIX = "__"


def check_name(name: str) -> None:
    """Check a topology's name; raises InvalidTopologyError."""
    if not re.fullmatch(NAME_PATTERN, name):
        shown = name if len(name) <= 200 else f"{name[:200]}..."
        msg = f"Topology name '{shown}' is not valid. It can't be null and it must match "
        raise InvalidTopologyError(msg + NAME_PATTERN)


def check_topology(topology: Structure, conf: Mapping[str, Any]) -> None:
    """Check ids, counts and inputs.

    Raises:
        InvalidTopologyError: the first thing that is wrong.
    """
    _check_ids(topology)
    for spout in topology["spouts"].values():
        if spout["common"]["inputs"]:
            msg = "May not declare inputs for a spout"
            raise InvalidTopologyError(msg)
    known = dict(components(topology))
    for name, common in known.items():
        executors = parallelism_hint(common)
        tasks = integer({**conf, **component_conf(name, common)}, TASKS, executors)
        if tasks and executors <= 0:
            msg = "Number of executors must be greater than 0 when number of tasks is greater than "
            raise InvalidTopologyError(msg + f"0: component [{name}]")
    for name, common in known.items():
        for source, grouping in common["inputs"]:
            _check_input(name, source, grouping, known)


def _check_ids(topology: Structure) -> None:
    groups = [topology[group] for group in ("bolts", "spouts", "state_spouts")]
    for group in groups:
        for name, component in group.items():
            if name.startswith(SYSTEM_PREFIX):
                msg = f"{name} is not a valid component id."
                raise InvalidTopologyError(msg)
            for stream in component["common"]["streams"]:
                if stream.startswith(SYSTEM_PREFIX):
                    msg = f"{stream} is not a valid stream id."
                    raise InvalidTopologyError(msg)
    names = [name for group in groups for name in group]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        msg = f"Duplicate component ids: [{', '.join(repeated)}]"
        raise InvalidTopologyError(msg)


def _check_input(
    name: str, source: Structure, grouping: Structure, known: Mapping[str, Structure]
) -> None:
    of, stream = source["componentId"], source["streamId"]
    if of not in known:
        msg = f"Component: [{name}] subscribes from non-existent component [{of}]"
        raise InvalidTopologyError(msg)
    streams = known[of]["streams"]
    if stream not in streams:
        msg = f"Component: [{name}] subscribes from non-existent stream: [{stream}] of component "
        raise InvalidTopologyError(msg + f"[{of}]")
    fields = {field for item in streams.values() for field in item["output_fields"]}
    absent = [field for field in grouping.get("fields", ()) if field not in fields]
    if absent:
        msg = f"Component: [{name}] subscribes from stream: [{stream}] of component [{of}] + with "
        raise InvalidTopologyError(msg + f"non-existent fields: [{', '.join(absent)}]")
