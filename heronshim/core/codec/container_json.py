"""A container's plan as JSON: what supervisors read.

Apart from `core.codec.plan` because a supervisor starts without protobuf, which alone would
take a quarter of its processor time.
"""

from __future__ import annotations

from dataclasses import asdict

from heronshim.core.codec.json_fields import JsonFields
from heronshim.core.plan.physical import ContainerPlan, ProcessPlan, Resources
from heronshim.errors import RemoteProtocolError

_ID_MAX = (1 << 31) - 1


def container_plan_to_json(plan: ContainerPlan) -> dict[str, object]:
    """Return a container's plan as plain values for json.dumps."""
    return asdict(plan)


def container_plan_from_json(value: object, path: str = "plan") -> ContainerPlan:
    """Return the container's plan in what json.loads gave; `path` begins the messages.

    Raises:
        RemoteProtocolError: a field is missing, unknown or wrong, or a process or task is
            placed twice; names it.
    """
    fields = JsonFields(value, path, ("id", "processes", "required"))
    processes = tuple(
        _process(item, f"{path}.processes[{index}]")
        for index, item in enumerate(fields.items("processes"))
    )
    ids = [process.id for process in processes]
    tasks = [task for process in processes for task in process.tasks]
    if len(set(ids)) < len(ids) or len(set(tasks)) < len(tasks):
        msg = f"{path}.processes: a process id or task id stands twice in {ids}, tasks {tasks}"
        raise RemoteProtocolError(msg)
    required = _resources(fields.value("required"), f"{path}.required")
    return ContainerPlan(fields.whole("id", 1, _ID_MAX), processes, required)


def _process(value: object, path: str) -> ProcessPlan:
    fields = JsonFields(value, path, ("id", "component", "executors", "required"))
    executors = tuple(
        _executor(item, f"{path}.executors[{index}]")
        for index, item in enumerate(fields.items("executors"))
    )
    if not executors:
        msg = f"{path}.executors is empty; expected at least one executor"
        raise RemoteProtocolError(msg)
    process_id = fields.text("id")
    # The id names files of the process.
    if "/" in process_id or process_id.startswith(".") or not process_id.isprintable():
        msg = f"{path}.id: {process_id!r} cannot name a file"
        raise RemoteProtocolError(msg)
    required = _resources(fields.value("required"), f"{path}.required")
    return ProcessPlan(process_id, fields.text("component"), executors, required)


def _executor(value: object, path: str) -> tuple[int, ...]:
    tasks = JsonFields({"tasks": value}, path, ("tasks",)).wholes("tasks", 1)
    if not tasks or list(tasks) != sorted(set(tasks)) or tasks[-1] > _ID_MAX:
        msg = f"{path}: expected ascending task ids up to {_ID_MAX}, not {list(tasks)}"
        raise RemoteProtocolError(msg)
    return tasks


def _resources(value: object, path: str) -> Resources:
    fields = JsonFields(value, path, ("cpu", "ram_bytes", "disk_bytes"))
    return Resources(fields.number("cpu"), fields.whole("ram_bytes"), fields.whole("disk_bytes"))
