"""The start line of a process and launch.json: round trips and refusals."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from heronshim.core.io.child import ChildStart
from heronshim.core.io.launch_file import read_launch, write_launch
from heronshim.core.plan.physical import ContainerPlan, ProcessPlan, Resources
from heronshim.core.spi.scheduler import Launch
from heronshim.errors import HeronshimError, NotFoundError, StateError

if TYPE_CHECKING:
    from pathlib import Path

LAUNCH = Launch(
    topology="words",
    topology_id="words-1",
    work_dir="/tmp/h/topologies/words",
    socket_dir="/tmp/h/s",
    secret_path="/tmp/h/topologies/words/secret",
    python="/usr/bin/python3",
    state_manager="file",
    state_options={"root": "/tmp/h/state"},
    sinks=("tmaster", "file"),
    sink_options={"file": {"path": "m.jsonl"}},
    languages={"legacy": "java"},
)
PLAN = ContainerPlan(
    1,
    (ProcessPlan("count-3", "count", ((3,), (4, 5)), Resources(1.5, 1 << 30, 7)),),
    Resources(2.0, 2 << 30, 9),
)
START = ChildStart(LAUNCH, 1, "count-3", 17, "ab" * 32, "ipc:///tmp/h/s/ab12cd34", PLAN, "count")


def test_start_line_read_back_equals_what_was_written() -> None:
    assert ChildStart.read(io.BytesIO(START.to_json().encode())) == START
    master = replace(START, container=0, plan=None, component="", process="tmaster")
    assert ChildStart.from_json(master.to_json()) == master


def test_start_line_is_one_line_whatever_the_names_hold() -> None:
    start = replace(START, component="a\nb\u2028c")
    assert start.to_json().count("\n") == 1
    assert ChildStart.from_json(start.to_json()) == start


@pytest.mark.parametrize("text", [b"", b"\n"])
def test_missing_start_line_tells_how_processes_are_started(text: bytes) -> None:
    with pytest.raises(HeronshimError, match="use heronshim submit"):
        ChildStart.read(io.BytesIO(text))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("incarnation",), 0, "start line.incarnation: expected a whole number from 1"),
        (("incarnation",), True, "start line.incarnation"),
        (("container",), -1, "start line.container"),
        (("process",), 7, "start line.process: expected text, not 7"),
        (("launch", "topology"), "", "start line.launch.topology: expected text"),
        (("launch", "work_dir"), "words", "work_dir: expected an absolute path, not 'words'"),
        (("launch", "sinks"), "tmaster", "start line.launch.sinks: expected a list"),
        (("launch", "topolgy"), "x", 'unknown field "topolgy". Did you mean "topology"?'),
        (("plan", "id"), 0, "start line.plan.id"),
        (("plan", "processes", 0, "id"), "../x", "cannot name a file"),
        (("plan", "processes", 0, "executors"), [], "executors is empty"),
        (("plan", "processes", 0, "executors"), [[3], [3]], "stands twice"),
        (("plan", "processes", 0, "executors"), [[4, 3]], "ascending task ids"),
        (("plan", "processes", 0, "required", "cpu"), "1", "required.cpu: expected a number"),
        (("plan", "processes", 0, "required", "cpu"), float("nan"), "required.cpu"),
    ],
)
def test_wrong_field_is_refused_by_name(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    wrong = json.loads(START.to_json())
    holder = wrong
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    with pytest.raises(HeronshimError) as caught:
        ChildStart.from_json(json.dumps(wrong))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "1", "\ud800", "[" * 100_000, '{"launch":{}}'])
def test_damaged_start_line_is_refused(text: str) -> None:
    with pytest.raises(HeronshimError, match="start line"):
        ChildStart.from_json(text)


def test_each_missing_field_is_named() -> None:
    whole = json.loads(START.to_json())
    for name in whole:
        with pytest.raises(HeronshimError, match=f'"{name}" is missing'):
            ChildStart.from_json(json.dumps({k: v for k, v in whole.items() if k != name}))


def test_launch_file_read_back_equals_what_was_written(tmp_path: Path) -> None:
    launch = replace(LAUNCH, work_dir=str(tmp_path))
    path = write_launch(launch)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_launch(str(tmp_path)) == launch


def test_launch_file_missing_or_damaged_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="submit the topology first"):
        read_launch(str(tmp_path))
    (tmp_path / "launch.json").write_text('{"topology": "words"}')
    with pytest.raises(StateError, match=r'"work_dir" is missing.*kill the topology'):
        read_launch(str(tmp_path))
