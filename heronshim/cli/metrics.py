"""Verbs top and metrics."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heronshim.cli.board import COLUMNS, Board, cells, suspicion
from heronshim.cli.engine import Engine
from heronshim.cli.master import ASK_TIMEOUT_S, ask, connect
from heronshim.cli.names import ComponentOption, NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    is_terminal,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.core.master.component_rows import component_rows, suspected_processes
from heronshim.core.master.initiators import initiator_text, initiators
from heronshim.core.master.messages import CommandKind
from heronshim.errors import DeadlineError, RemoteProtocolError

if TYPE_CHECKING:
    from heronshim.cli.engine import Running
    from heronshim.core.master.messages import MetricsSnapshot
    from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord

app = typer.Typer(rich_markup_mode=None)


@app.command("top")
def top(
    topology: NameArgument,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, help="Seconds between two looks.")
    ] = 1.0,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show each component live: rates, latency, capacity, back pressure; end it with Ctrl-C."""
    with Engine.open() as engine:
        running = engine.find(topology)
        if wants_json(output, json):
            print_json(_rows_value(running, _snapshot(running)))
        elif once or not is_terminal():
            snapshot = _snapshot(running)
            rows = component_rows(snapshot)
            print_table(COLUMNS, [[row.component, *_plain(cells(row))] for row in rows])
            if suspicion(snapshot):
                print_line(suspicion(snapshot))
            for one in initiators(snapshot):
                print_line(initiator_text(one))
        else:
            # Ctrl-C is how a person ends it.
            with suppress(KeyboardInterrupt):
                _top_live(running, interval)


@app.command("metrics")
def metrics(
    topology: NameArgument,
    component: ComponentOption = "",
    per_task: Annotated[bool, typer.Option("--tasks", help="One row for each task.")] = False,
    per_process: Annotated[
        bool, typer.Option("--processes", help="One row for each process.")
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show metrics once: totals since the start, newest gauges, rates and quantiles."""
    with Engine.open() as engine:
        running = engine.find(topology)
        if component:
            running.check_component(component)
        snapshot = _snapshot(running, component)
        # Stream managers know, which belong to no component.
        whole = _snapshot(running) if component else snapshot
        pressing = [one for one in initiators(whole) if component in ("", one.component)]
    if wants_json(output, json):
        print_json(
            {
                "topology": topology,
                "time_ms": snapshot.time_ms,
                "tasks": [_task_value(task) for task in snapshot.tasks],
                "processes": [_process_value(process) for process in snapshot.processes],
                "back_pressure": [asdict(one) for one in pressing],
            }
        )
        return
    rows: list[list[object]] = []
    if per_process:
        columns = ["process", "metric", "value"]
        for process in snapshot.processes:
            rows += [[process.process, name, value] for name, value in _numbers(process)]
    elif per_task:
        columns = ["task", "component", "metric", "value"]
        for task in snapshot.tasks:
            rows += [[task.task, task.component, name, value] for name, value in _numbers(task)]
    else:
        columns = ["component", "metric", "value"]
        rows = _component_numbers(snapshot)
        rows += [[one.component, "initiator_s", one.seconds] for one in pressing]
    print_table(columns, rows)


def _snapshot(running: Running, component: str = "") -> MetricsSnapshot:
    reply = ask(running, CommandKind.METRICS, component=component)
    if reply.metrics is None:
        msg = "the TMaster's answer holds no metrics; does it run another heronshim version?"
        raise RemoteProtocolError(msg)
    return reply.metrics


def _top_live(running: Running, interval_s: float) -> None:
    with connect(running) as client, Board(running.name, stderr=False) as board:
        while True:
            running.engine.manager.poll()
            try:
                snapshot = client.ask(CommandKind.METRICS, ASK_TIMEOUT_S).metrics
            except DeadlineError as error:
                # A new TMaster may take over; a topology that is gone ends this.
                running.engine.find(running.name)
                board.say(str(error))
                continue
            if snapshot is not None:
                board.show(snapshot)
            time.sleep(interval_s)


def _rows_value(running: Running, snapshot: MetricsSnapshot) -> dict[str, Any]:
    return {
        "topology": running.name,
        "time_ms": snapshot.time_ms,
        "components": [asdict(row) for row in component_rows(snapshot)],
        "suspected": suspected_processes(snapshot),
        "back_pressure": [asdict(one) for one in initiators(snapshot)],
    }


def _task_value(task: TaskRecord) -> dict[str, Any]:
    return {
        "task": task.task,
        "component": task.component,
        "sums": dict(task.sums),
        "gauges": dict(task.gauges),
        "maxima": dict(task.maxima),
    }


def _process_value(process: MetricsRecord) -> dict[str, Any]:
    return {
        "process": process.process,
        "container": process.container,
        "pid": process.pid,
        "incarnation": process.incarnation,
        "sums": dict(process.sums),
        "gauges": dict(process.gauges),
        "maxima": dict(process.maxima),
    }


def _numbers(record: TaskRecord | MetricsRecord) -> list[tuple[str, float]]:
    return sorted({**record.sums, **record.gauges, **record.maxima}.items())


def _component_numbers(snapshot: MetricsSnapshot) -> list[list[object]]:
    """Return sums over the tasks of a component; of maxima the largest."""
    sums: dict[tuple[str, str], float] = {}
    maxima: dict[tuple[str, str], float] = {}
    for task in snapshot.tasks:
        for name, value in {**task.sums, **task.gauges}.items():
            key = task.component, name
            sums[key] = sums.get(key, 0.0) + value
        for name, value in task.maxima.items():
            key = task.component, name
            maxima[key] = max(maxima.get(key, value), value)
    rows = {**sums, **maxima}
    return [[component, name, rows[component, name]] for component, name in sorted(rows)]


def _plain(texts: list[str]) -> list[str]:
    """Return cells without colour."""
    return [text.removeprefix("[red]").removesuffix("[/red]") for text in texts]
