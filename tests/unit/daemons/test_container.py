"""What a supervisor makes of its options, without starting anything."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heronshim.core.daemons.container import Supervisor
from heronshim.core.daemons.supervised import ProcessState
from heronshim.core.io.child import ContainerStart
from heronshim.core.io.logs import StopRequest
from heronshim.core.plan.physical import ContainerPlan, ProcessPlan, Resources
from heronshim.core.plan.topology import Language
from heronshim.core.plugins.local_options import KINDS, LocalOptions
from heronshim.core.spi.scheduler import Launch
from heronshim.errors import ConfigError

RAM = 1 << 30


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield StopRequest()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def start(tmp_path: Path) -> ContainerStart:
    secret = tmp_path / "secret"
    secret.write_text("5e" * 32)
    secret.chmod(0o600)
    (tmp_path / "container-1" / "logs").mkdir(parents=True)
    launch = Launch(
        topology="words",
        topology_id="words-1",
        work_dir=str(tmp_path),
        socket_dir=str(tmp_path / "s"),
        secret_path=str(secret),
        python="/usr/bin/python3",
        state_manager="memory",
    )
    required = Resources(1.0, RAM, 0)
    processes = (
        ProcessPlan("count-1", "count", ((1,),), required),
        ProcessPlan("legacy-2", "legacy", ((2,),), required),
    )
    return ContainerStart(launch, 1, ContainerPlan(1, processes, required), 1)


def supervisor(start: ContainerStart, stop: StopRequest, **launch: object) -> Supervisor:
    changed = replace(start, launch=replace(start.launch, **launch))  # type: ignore[arg-type]
    return Supervisor(changed, stop, Path(start.launch.work_dir) / "container-1")


@pytest.mark.parametrize(("option", "limit"), [("on", RAM), ("off", 0)])
def test_memory_limit_of_an_instance_follows_the_option(
    start: ContainerStart, stop: StopRequest, option: str, limit: int
) -> None:
    made = supervisor(start, stop, scheduler_options={"memory_limit": option})
    assert [process.spec.memory_limit_bytes for process in made._instances] == [limit, limit]
    assert [process.spec.memory_limit_bytes for process in made._engine] == [0, 0]
    made.close()


def test_instance_in_another_language_is_refused_and_the_rest_is_started(
    start: ContainerStart, stop: StopRequest
) -> None:
    made = supervisor(start, stop, languages={"legacy": "cpp"})
    assert [process.spec.id for process in made._instances] == ["count-1"]
    made.close()
    event = json.loads((Path(start.launch.work_dir) / "container-1/events.jsonl").read_text())
    assert (event["kind"], event["process"]) == ("process_refused", "legacy-2")
    assert "instances in cpp cannot be started" in event["cause"]


def test_instances_wait_for_the_package_and_the_engine_does_not(
    start: ContainerStart, stop: StopRequest
) -> None:
    made = supervisor(start, stop, package_uri="local:00")
    assert {process.state for process in made._instances} == {ProcessState.BLOCKED}
    assert {process.state for process in made._engine} == {ProcessState.WAITING}
    made.close()


def test_daemons_are_run_as_modules_of_the_interpreter() -> None:
    options = LocalOptions.parse({})
    assert options.argv("stmgr", "/p") == ("/p", "-P", "-m", "heronshim.core.daemons.stmgr")
    assert options.argv("python", "/p") == ("/p", "-P", "-m", "heronshim.instance.main")


def test_command_of_a_kind_can_be_replaced() -> None:
    options = LocalOptions.parse({"commands": '{"python": ["taskset", "1", "x"]}'})
    assert options.argv("python", "/p") == ("taskset", "1", "x")
    assert options.argv("stmgr", "/p")[0] == "/p"


def test_each_language_is_a_kind_of_process() -> None:
    assert {language.value for language in Language} <= set(KINDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_file_byte": "1"}, 'Did you mean "log_file_bytes"?'),
        ({"log_file_bytes": "1"}, "from 1024"),
        ({"log_files": "0"}, '"log_files" must be a whole number'),
        ({"memory_limit": "yes"}, "must be on or off"),
        ({"commands": "["}, '"commands" is no JSON'),
        ({"commands": '{"pyton": ["x"]}'}, 'Did you mean "python"?'),
        ({"commands": '{"python": "x"}'}, "python: expected a list"),
        ({"commands": '{"python": []}'}, "expected a program and its arguments"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LocalOptions.parse(options)
    assert message in str(caught.value)
