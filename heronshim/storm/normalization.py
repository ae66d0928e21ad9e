"""What Nimbus does to a topology and its configuration before anybody sees them.

Source: Nimbus.normalizeTopology, normalizeConf and setUpAckerExecutorConfigs of Storm 2.8.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim.storm.config_values import (
    ACKERS,
    ACKERS_PER_WORKER,
    DECORATORS,
    KRYO_REGISTER,
    MAX_PARALLELISM,
    TASKS,
    WORKERS,
    dump_conf,
    integer,
    parse_conf,
)
from heronshim.storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heronshim.storm.thrift_codec import Structure


def components(topology: Structure) -> Iterator[tuple[str, Structure]]:
    """Yield (id, its ComponentCommon) of all spouts and bolts."""
    for group in ("spouts", "bolts"):
        for component_id, component in topology[group].items():
            yield component_id, component["common"]


def component_conf(component_id: str, common: Structure) -> dict[str, Any]:
    """Return a component's own configuration; raises InvalidTopologyError."""
    what = f"The configuration of component [{component_id}]"
    return parse_conf(common.get("json_conf", ""), what)


def parallelism_hint(common: Structure) -> int:
    """Return how many executors a component was given; 1 when it was given none."""
    hint: int = common.get("parallelism_hint", 1)
    return hint


def normalize_conf(conf: Mapping[str, Any], topology: Structure) -> dict[str, Any]:
    """Return the topology's configuration with what components register for Kryo.

    The number of ackers is a number afterwards: one for each worker when it was not set.

    Raises:
        InvalidTopologyError: a value is of a wrong type.
    """
    serializers: dict[str, Any] = {}
    decorators: list[Any] = []
    confs = [component_conf(name, common) for name, common in components(topology)]
    for each in [*confs, conf]:
        decorators += _listed(each, DECORATORS)
        registered = each.get(KRYO_REGISTER)
        entries = [registered] if isinstance(registered, dict) else _listed(each, KRYO_REGISTER)
        for entry in entries:
            # A class name alone: Kryo's own serializer.
            serializers.update(entry if isinstance(entry, dict) else {str(entry): None})
    found = {key: value for key, value in conf.items() if key != "storm.workers.artifacts.dir"}
    found[KRYO_REGISTER] = serializers
    found[DECORATORS] = list(dict.fromkeys(map(str, decorators)))
    if conf.get(ACKERS) is None:
        per_worker, workers = integer(conf, ACKERS_PER_WORKER, least=0), integer(conf, WORKERS)
        assert per_worker is not None
        assert workers is not None
        found[ACKERS] = per_worker * workers
    return found


def normalize_topology(conf: Mapping[str, Any], topology: Structure) -> Structure:
    """Return a copy whose components say in their configuration how many tasks they have.

    Raises:
        InvalidTopologyError: a value is of a wrong type.
    """
    found = dict(topology)
    for group in ("spouts", "bolts"):
        found[group] = {
            name: {**component, "common": _normalized(name, component["common"], conf)}
            for name, component in topology[group].items()
        }
    return found


def _normalized(name: str, common: Structure, conf: Mapping[str, Any]) -> Structure:
    own = component_conf(name, common)
    merged = {**conf, **own}
    tasks = integer(merged, TASKS, parallelism_hint(common))
    limit = integer(merged, MAX_PARALLELISM)
    assert tasks is not None
    count = tasks if limit is None else min(tasks, limit)
    return {**common, "json_conf": dump_conf({**own, TASKS: count})}


def _listed(conf: Mapping[str, Any], key: str) -> list[Any]:
    value = conf.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        msg = f"Config {key} must be a list, not {type(value).__name__}"
        raise InvalidTopologyError(msg)
    return value
