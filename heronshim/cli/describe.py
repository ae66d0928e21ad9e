"""Verb describe."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.history import history, history_of_files
from heronshim.cli.master import ask
from heronshim.cli.names import NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.words import age, grouping_text
from heronshim.core.master.initiators import Initiator, initiator_text, initiators
from heronshim.core.master.messages import CommandKind
from heronshim.core.master.process_facts import ProcessFacts, process_facts
from heronshim.errors import HeronshimError, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.cli.engine import Running
    from heronshim.core.master.messages import TopologyStatus
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.spi.scheduler import ContainerStatus

app = typer.Typer(rich_markup_mode=None)


@app.command("describe")
def describe(
    topology: NameArgument, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """Show one topology: state, processes, their restarts and causes, back pressure."""
    with Engine.open() as engine:
        running = engine.find_even_damaged(topology)
        value = _damaged(engine, topology) if running is None else _asked(running)
    if wants_json(output, json):
        print_json(value)
    else:
        _print_description(value)


def _asked(running: Running) -> dict[str, Any]:
    """Return all that is known of a topology, with what its TMaster says if it answers."""
    try:
        status = ask(running, CommandKind.STATUS).status
        snapshot = ask(running, CommandKind.METRICS).metrics
    except HeronshimError as error:
        note(f"the TMaster does not answer: {error}")
        status = snapshot = None
    work_dir = running.engine.work_dir(running.name)
    events = history(running) if status else history_of_files(work_dir)
    value = _description(running, status, process_facts(events))
    value["back_pressure"] = [asdict(one) for one in initiators(snapshot)] if snapshot else []
    return value


def _damaged(engine: Engine, name: str) -> dict[str, Any]:
    """Return what is known of a topology whose state cannot be read: problems and processes."""
    facts = process_facts(history_of_files(engine.work_dir(name)))
    supervisors = _supervisors(engine, name)
    suspected = {process for item in supervisors.values() for process in item.suspected}
    unknown = ("id", "phase", "submit_time_s", "user", "version", "plan_epoch")
    return dict.fromkeys(unknown) | {
        "name": name,
        "state": "damaged",
        "problems": engine.state(name).problems(),
        "work_dir": str(engine.work_dir(name)),
        "components": [],
        "tmaster": _supervisor(supervisors[0]) if 0 in supervisors else None,
        "containers": [
            {"id": id_, "host": None, "stmgr_pid": None, "present": False}
            | _supervisor(item)
            | {"processes": []}
            for id_, item in supervisors.items()
            if id_
        ],
        "suspected": sorted(suspected),
        "engine": [
            {"id": id_, "container": item.container, "suspected": id_ in suspected, **_life(item)}
            for id_, item in sorted(facts.items(), key=lambda fact: fact[1].container)
        ],
        "back_pressure": [],
    }


def _stored_plan(running: Running) -> PhysicalPlan | None:
    """Return the plan in the state manager; none when it is damaged, as `problems` says."""
    with suppress(StateError):
        return running.state.physical_plan()
    return None


def _description(
    running: Running, status: TopologyStatus | None, facts: Mapping[str, ProcessFacts]
) -> dict[str, Any]:
    """Return all that is known of a topology."""
    plan = status.plan if status else _stored_plan(running)
    live = {container.id: container for container in plan.containers} if plan else {}
    joined = set(status.joined_tasks) if status else set()
    absent = set(status.absent_containers) if status else set()
    supervisors = _supervisors(running.engine, running.name)
    suspected = {process for item in supervisors.values() for process in item.suspected}
    suspected.update(status.suspected_processes if status else ())
    containers = []
    for item in running.packing_plan.containers:
        place = live.get(item.id)
        containers.append(
            {
                "id": item.id,
                "host": place.host if place else None,
                "stmgr_pid": place.stmgr_pid if place else None,
                "present": bool(status) and item.id not in absent,
                **_supervisor(supervisors.get(item.id)),
                "processes": [
                    {
                        "id": process.id,
                        "component": process.component,
                        "tasks": list(process.tasks),
                        "joined": joined.issuperset(process.tasks),
                        "suspected": process.id in suspected,
                        **_life(facts.get(process.id)),
                    }
                    for process in item.processes
                ],
            }
        )
    record = running.record
    return {
        "name": record.name,
        "id": record.id,
        "state": str(plan.state) if plan else "starting",
        "problems": running.state.problems(),
        "phase": str(status.phase) if status else None,
        "submit_time_s": record.submit_time_s,
        "user": record.user,
        "version": record.version,
        "plan_epoch": plan.plan_epoch if plan else 0,
        "work_dir": str(running.engine.work_dir(record.name)),
        "components": _components(running),
        "tmaster": _supervisor(supervisors[0]) if 0 in supervisors else None,
        "containers": containers,
        "suspected": sorted(suspected),
        "engine": [
            {
                "id": id_,
                "container": container,
                "suspected": id_ in suspected,
                **_life(facts.get(id_)),
            }
            for container, id_ in _engine_processes(running)
        ],
    }


def _components(running: Running) -> list[dict[str, Any]]:
    """Return what the author wrote."""
    return [
        {
            "id": component.id,
            "kind": str(component.kind),
            "language": str(component.language),
            "object": component.object,
            "tasks": component.task_count,
            "inputs": [
                {
                    "component": item.component,
                    "stream": item.stream,
                    "grouping": grouping_text(item.grouping),
                }
                for item in component.inputs
            ],
        }
        for component in running.topology.components
    ]


def _engine_processes(running: Running) -> list[tuple[int, str]]:
    """Return container and name of each process that is not an instance."""
    found = [(0, "tmaster"), (0, "metricsmgr-0")]
    for container in running.packing_plan.containers:
        number = container.id
        found += [(number, f"stmgr-{number}"), (number, f"metricsmgr-{number}")]
    return found


def _life(process: ProcessFacts | None) -> dict[str, Any]:
    """Return what the history says of a process."""
    process = process or ProcessFacts()
    return {
        "pid": process.pid or None,
        "started_ms": process.started_ms or None,
        "restarts": process.restarts,
        "last_end": {"time_ms": process.ended_ms, "cause": process.cause}
        if process.ended_ms
        else None,
    }


def _supervisors(engine: Engine, name: str) -> dict[int, ContainerStatus]:
    """Return what the scheduler knows of each container; nothing when it cannot be asked."""
    try:
        return {item.id: item for item in engine.scheduler(name).status()}
    except HeronshimError as error:
        note(f"the scheduler cannot be asked: {error}")
        return {}


def _supervisor(status: ContainerStatus | None) -> dict[str, Any]:
    if status is None:
        return {"pid": None, "restarts": None, "cause": ""}
    return {"pid": status.pid or None, "restarts": status.restarts, "cause": status.cause}


def _print_description(value: dict[str, Any]) -> None:
    if value["id"] is None:
        print_line(f"{value['name']}: {value['state']}")
    else:
        print_line(f"{value['name']} ({value['id']}): {value['state']}")
        print_line(f"submitted {age(value['submit_time_s'])} ago by {value['user'] or 'unknown'}")
    for problem in value["problems"]:
        print_line(f"problem: {problem}")
    print_line(f"work folder {value['work_dir']}")
    print_line()
    print_table(
        ["component", "kind", "tasks", "language", "inputs"],
        [
            [
                item["id"],
                item["kind"],
                item["tasks"],
                item["language"],
                "; ".join(_input(one) for one in item["inputs"]) or "-",
            ]
            for item in value["components"]
        ],
    )
    print_line()
    rows = [
        (item["container"], item, "", _state(item, "runs" if item["pid"] else "does not run"))
        for item in value["engine"]
    ]
    rows += [
        (
            container["id"],
            process,
            ",".join(map(str, process["tasks"])),
            _state(process, "joined" if process["joined"] else "not joined"),
        )
        for container in value["containers"]
        for process in container["processes"]
    ]
    print_table(
        ["container", "process", "tasks", "state", "pid", "restarts", "last end"],
        [
            [
                container,
                process["id"],
                tasks or "-",
                state,
                str(process["pid"] or "-"),
                process["restarts"],
                _last_end(process),
            ]
            for container, process, tasks, state in sorted(rows, key=lambda row: row[0])
        ],
    )
    if value["suspected"]:
        print_line(f"suspected, because they are silent: {', '.join(value['suspected'])}")
    for one in value["back_pressure"]:
        print_line(initiator_text(Initiator(**one)))
    for container in value["containers"]:
        if container["restarts"]:
            print_line(
                f"container {container['id']} was restarted {container['restarts']} times, "
                f"last: {container['cause'] or 'unknown cause'}"
            )


def _last_end(process: dict[str, Any]) -> str:
    end = process["last_end"]
    return f"{end['cause']}, {age(end['time_ms'] // 1000)} ago" if end else "-"


def _state(process: dict[str, Any], state: str) -> str:
    return f"{state}, suspected" if process["suspected"] else state


def _input(item: dict[str, Any]) -> str:
    stream = "" if item["stream"] == "default" else f":{item['stream']}"
    return f"{item['component']}{stream} by {item['grouping']}"
