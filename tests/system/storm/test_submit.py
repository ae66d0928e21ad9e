"""An unmodified jar and Storm's unmodified client against the gateway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from thrift.Thrift import TApplicationException

from heronshim.cli.engine import Engine
from heronshim.cli.nimbus_cluster import EngineCluster
from heronshim.core.plan.task_ids import first_task_ids, phantom_task_ids
from heronshim.core.plan.topology import Dialect, Grouping, GroupingKind, Language
from heronshim.storm.interface import nimbus_interface
from heronshim.storm.logical_plan import CODE_FILE, CONF_FILE, JAR_FILE
from heronshim.storm.thrift_codec import struct_from_bytes
from tests.input.nimbus_client import Gateway, NimbusClient
from tests.system.conftest import Home, wait_until
from tests.system.storm.conftest import (
    HERE,
    StormClient,
    compile_java,
    flux_jar,
    locked_jars,
    pack_jar,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def sleeping_instances(heronshim_home: Home) -> None:
    """These tests look at plans: what runs in place of a Java instance sleeps."""
    heronshim_home.path.mkdir(mode=0o700)
    commands = json.dumps({"java": ["sleep", "1000"]})
    (heronshim_home.path / "config.yaml").write_text(
        f"scheduler_options:\n  commands: '{commands}'\n"
    )


def end(gateway: Gateway, name: str) -> None:
    with gateway.client() as client:
        assert client.call("killTopologyWithOpts", name=name, options={"wait_secs": 0}) == {}
    wait_until(lambda: name not in EngineCluster().names(), f"the end of {name}")


def test_a_submitted_jar_is_planned_as_storm_does(
    gateway: Gateway, storm: StormClient, word_count: Path
) -> None:
    code, output = storm.run("WordCount", "words", jar=word_count)
    assert code == 0, output
    assert "Finished submitting topology: words" in output
    facts = EngineCluster().facts("words")
    topology = facts.topology
    assert topology.dialect is Dialect.STORM
    assert {item.language for item in topology.components} == {Language.JAVA}
    # Two workers, so two ackers; nine tasks behind them.
    assert phantom_task_ids(topology) == {"__acker": (1, 2)}
    assert first_task_ids(topology) == {
        "count": (3, 4, 5, 6),
        "split": (7, 8, 9),
        "spout": (10, 11),
    }
    count = topology.component("count")
    assert (count.parallelism, count.task_count) == (2, 4)
    assert count.inputs[0].grouping == Grouping(GroupingKind.FIELDS, ("word",))
    assert [output.fields for output in count.outputs] == [("word", "count")]
    assert topology.component("spout").options["max_spout_pending"] == 100
    assert topology.options["message_timeout_s"] == 300
    assert topology.options["containers"] == len(facts.packing_plan.containers) == 2
    assert topology.options["delivery"] == "at_least_once"
    assert topology.id == facts.record.id
    assert topology.id.startswith("words-1-")
    check_package(word_count, topology.id)
    end(gateway, "words")


@pytest.mark.parametrize(
    ("version", "package", "said"),
    [("1.2.4", "org.apache.storm", "1.2.4"), ("0.10.2", "backtype.storm", None)],
)
def test_older_clients_submit_as_well(
    gateway: Gateway, tmp_path: Path, version: str, package: str, said: str | None
) -> None:
    """The same source, for the API of its time; 0.10 does not say which Storm it is."""
    jars = locked_jars(f"storm-core-{version}")
    classes = tmp_path / "classes"
    classes.mkdir()
    source = tmp_path / "WordCount.java"
    text = (HERE / "WordCount.java").read_text()
    source.write_text(text.replace("org.apache.storm.", f"{package}."))
    jar = pack_jar(compile_java(source, jars, classes))
    code, output = StormClient(gateway, tmp_path, jars).run("WordCount", "words", jar=jar)
    assert code == 0, output
    topology = EngineCluster().facts("words").topology
    assert phantom_task_ids(topology) == {"__acker": (1, 2)}
    assert first_task_ids(topology)["count"] == (3, 4, 5, 6)
    struct = nimbus_interface().structs["StormTopology"]
    code_file = EngineCluster().package_file("words", CODE_FILE)
    assert struct_from_bytes(code_file, struct, CODE_FILE).get("storm_version") == said
    end(gateway, "words")


def test_flux_submits_as_well(
    gateway: Gateway, client_path: list[Path], word_count: Path, tmp_path: Path
) -> None:
    flux = StormClient(gateway, tmp_path, [*client_path, flux_jar()])
    definition = str(HERE / "flux.yaml")
    code, output = flux.run("org.apache.storm.flux.Flux", "--remote", definition, jar=word_count)
    assert code == 0, output
    topology = EngineCluster().facts("fluxed").topology
    assert topology.component("bolt-1").inputs[0].grouping == Grouping(
        GroupingKind.FIELDS, ("word",)
    )
    assert first_task_ids(topology) == {"bolt-1": (2,), "spout-1": (3,)}
    end(gateway, "fluxed")


def check_package(jar: Path, topology_id: str) -> None:
    """The package holds the jar's own bytes, what Nimbus made of the topology, and its map."""
    cluster = EngineCluster()
    assert cluster.package_file("words", JAR_FILE) == jar.read_bytes()
    conf = json.loads(cluster.package_file("words", CONF_FILE))
    assert conf["storm.id"] == topology_id
    assert conf["topology.kryo.register"] == {"WordCount": None}
    assert conf["topology.acker.executors"] == 2
    struct = nimbus_interface().structs["StormTopology"]
    code = struct_from_bytes(cluster.package_file("words", CODE_FILE), struct, CODE_FILE)
    made = code["bolts"]["count"]
    # The head of every Java object stream.
    assert made["bolt_object"]["serialized_java"].startswith(b"\xac\xed\x00\x05")
    assert json.loads(made["common"]["json_conf"])["topology.tasks"] == 4
    assert code["storm_version"].startswith("2.8")


def test_names_are_taken_once(gateway: Gateway, storm: StormClient, word_count: Path) -> None:
    """Two clients at once: one wins, and the other learns so."""
    both = [storm.start("WordCount", "words", jar=word_count) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], outputs
    refused = outputs[codes.index(1)]
    assert "words is already alive" in refused or "already exists on the cluster" in refused, (
        refused
    )
    code, output = storm.run("WordCount", "words", jar=word_count)
    assert code == 1
    assert "already exists on the cluster" in output
    end(gateway, "words")
    code, output = storm.run("WordCount", "words", jar=word_count)
    assert code == 0, output
    end(gateway, "words")


def test_a_wrong_name_leaves_nothing(
    gateway: Gateway, storm: StormClient, word_count: Path
) -> None:
    code, output = storm.run("WordCount", "a/b", jar=word_count)
    assert code == 1
    assert "a/b" in output
    assert EngineCluster().names() == []
    assert list((gateway.home / "nimbus").glob("*.jar")) == []


def test_storms_commands(gateway: Gateway, storm: StormClient, word_count: Path) -> None:
    assert storm.command("ListTopologies")[1].endswith("No topologies running.\n")
    assert storm.run("WordCount", "words", jar=word_count)[0] == 0
    _, output = storm.command("ListTopologies")
    [line] = [line for line in output.splitlines() if line.startswith("words ")]
    assert line.split()[1:4] == ["ACTIVE", "9", "2"]
    for command, state in (("Deactivate", "inactive"), ("Activate", "active")):
        code, output = storm.command(command, "words")
        assert code == 0, output
        with Engine.open() as engine:
            physical = engine.find("words").state.physical_plan()
        assert physical is not None
        assert str(physical.state) == state
    assert '"Topology Name":"words"' in storm.command("GetErrors", "words")[1]
    code, output = storm.command("Rebalance", "words", "-n", "3")
    assert code == 1
    assert "cannot rebalance a running topology" in output
    code, output = storm.command("Deactivate", "word")
    assert code == 1
    assert "NotAliveException(msg:word is not alive)" in output
    code, output = storm.command("KillTopology", "words", "-w", "1")
    assert code == 0, output
    wait_until(lambda: not EngineCluster().names(), "the end of words")


def test_a_gateway_that_ends_finishes_its_kills(
    gateway: Gateway, storm: StormClient, word_count: Path
) -> None:
    assert storm.run("WordCount", "words", jar=word_count)[0] == 0
    with gateway.client() as client:
        assert client.call("killTopology", name="words") == {}
        [summary] = client.call("getTopologySummaries")["success"]
        assert summary["status"] == "KILLED"
    assert gateway.close() == 0
    assert EngineCluster().names() == []


def submit_jar(gateway: Gateway) -> None:
    """Submit SUBMIT, with a jar that holds nothing."""
    with gateway.client() as client:
        location = upload(client, EMPTY_JAR)
        assert client.call("submitTopology", uploadedJarLocation=location, **SUBMIT) == {}


def test_a_kill_that_waits_leaves_a_later_topology_of_that_name(gateway: Gateway) -> None:
    submit_jar(gateway)
    with gateway.client() as client:
        assert client.call("killTopologyWithOpts", name="words", options={"wait_secs": 9999}) == {}
        assert heronshim("kill", "words", "-w", "0")[0] == 0
        submit_jar(gateway)
        [summary] = client.call("getTopologySummaries")["success"]
        assert summary["status"] == "ACTIVE"
    # It does its kills at its end.
    assert gateway.close() == 0
    assert EngineCluster().facts("words").record.id == summary["id"]
    assert "event=topology_gone topology=words" in gateway.log.read_text()
    assert heronshim("kill", "words", "-w", "0")[0] == 0


def test_what_was_killed_only_ends_and_the_shortest_wait_counts(gateway: Gateway) -> None:
    submit_jar(gateway)
    with gateway.client() as client:
        assert client.call("killTopologyWithOpts", name="words", options={"wait_secs": 9999}) == {}
        for method in ("activate", "deactivate"):
            with pytest.raises(TApplicationException, match='"words" was killed'):
                client.call(method, name="words")
        assert client.call("getTopologySummaryByName", name="words")["success"]["status"] == (
            "KILLED"
        )
        assert client.call("killTopologyWithOpts", name="words", options={"wait_secs": 99999}) == {}
    end(gateway, "words")


@pytest.mark.parametrize("by", ["client", "verb"])
def test_what_is_damaged_can_be_killed(gateway: Gateway, heronshim_home: Home, by: str) -> None:
    submit_jar(gateway)
    nodes = [path for path in (heronshim_home.path / "state").rglob("*") if path.is_file()]
    [node] = [path for path in nodes if "packing_plan" in str(path)]
    node.write_bytes(b"\xff" * 100)
    if by == "client":
        with gateway.client() as client:
            assert client.call("killTopology", name="words") == {}
        wait_until(lambda: not EngineCluster().names(), "the end of words")
    else:
        assert heronshim("kill", "words", "-w", "5")[0] == 0
    assert EngineCluster().names() == []


def upload(client: NimbusClient, content: bytes) -> str:
    location: str = client.call("beginFileUpload")["success"]
    assert client.call("uploadChunk", location=location, chunk=content) == {}
    assert client.call("finishFileUpload", location=location) == {}
    return location


EMPTY_JAR = b"PK\5\6" + bytes(18)
SPOUT = {
    "spout_object": {"serialized_java": b"x"},
    "common": {"inputs": [], "streams": {}},
}
SUBMIT = {
    "name": "words",
    "jsonConf": "{}",
    "topology": {"spouts": {"spout": SPOUT}, "bolts": {}, "state_spouts": {}},
}


def test_of_six_submits_at_once_one_wins(gateway: Gateway, word_count: Path) -> None:
    """Of the four that run at once one takes the name's lock; the others wait for it."""
    start = threading.Barrier(6)

    def submit(_: int) -> str:
        with gateway.client() as client:
            location = upload(client, word_count.read_bytes())
            start.wait()
            result = client.call("submitTopology", uploadedJarLocation=location, **SUBMIT)
            return str(result["taken"]["msg"]).split(":")[0] if result else "won"

    with ThreadPoolExecutor(6) as threads:
        found = sorted(threads.map(submit, range(6)))
    assert found == ["won", *["words is already alive"] * 5]
    end(gateway, "words")


def test_a_topology_may_start_inactive(gateway: Gateway, word_count: Path) -> None:
    with gateway.client() as client:
        location = upload(client, word_count.read_bytes())
        submit = {**SUBMIT, "uploadedJarLocation": location}
        refused = client.call("submitTopologyWithOpts", **submit)
        assert refused["invalid"]["msg"].startswith("Cannot submitTopologyWithOpts: SubmitOptions")
        options = {"initial_status": "INACTIVE"}
        assert client.call("submitTopologyWithOpts", **submit, options=options) == {}
        [summary] = client.call("getClusterInfo")["success"]["topologies"]
        assert summary["status"] == "INACTIVE"
        conf = json.loads(client.call("getTopologyConf", id=summary["id"])["success"])
        assert conf["topology.name"] == "words"
        topology = client.call("getUserTopology", id=summary["id"])["success"]
        assert list(topology["spouts"]) == ["spout"]
        # What was asked for once is not copied out of the package again.
        packages = gateway.home / "packages"
        packages.rename(gateway.home / "away")
        again = client.call("getTopologyConf", id=summary["id"])["success"]
        (gateway.home / "away").rename(packages)
        assert json.loads(again) == conf
        gone = client.call("getTopologyConf", id="words")
        assert gone == {"gone": {"msg": "words is not alive"}}
    end(gateway, "words")


def test_a_submit_that_fails_leaves_its_jar_and_nothing_else(
    gateway: Gateway, word_count: Path
) -> None:
    packages = gateway.home / "packages"
    packages.write_text("in the way")
    with gateway.client() as client:
        location = upload(client, word_count.read_bytes())
        with pytest.raises(TApplicationException, match="packages"):
            client.call("submitTopology", uploadedJarLocation=location, **SUBMIT)
        assert EngineCluster().names() == []
        packages.unlink()
        assert client.call("submitTopology", uploadedJarLocation=location, **SUBMIT) == {}
    assert not Path(location).exists()
    end(gateway, "words")


def heronshim(*words: str) -> tuple[int, str]:
    """Run the command line; return its exit code and all that it wrote."""
    command = [sys.executable, "-m", "heronshim.cli.main", "storm", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout if "--json" in words else done.stdout + done.stderr


def test_the_verb_storm_needs_no_installation(
    client_path: list[Path], word_count: Path, heronshim_home: Home
) -> None:
    code, output = heronshim(
        "jar", "-c", "topology.workers=1", str(word_count), "WordCount", "words"
    )
    assert code == 0, output
    facts = EngineCluster().facts("words")
    # The command line wins over the author's two.
    assert len(facts.packing_plan.containers) == 1
    code, output = heronshim("jar", "--json", str(word_count), "WordCount", "words")
    assert json.loads(output) == {"exit_code": 1, "submitted": []}
    _, output = heronshim("list", "--json")
    [row] = json.loads(output)["topologies"]
    assert (row["name"], row["num_tasks"], row["num_workers"]) == ("words", 8 + 1, 1)
    assert "words" in heronshim("list")[1]
    assert heronshim("deactivate", "words")[0] == 0
    assert heronshim("kill", "words", "-w", "0")[0] == 0
    assert heronshim("list")[1] == "No topologies running.\n"
    assert heronshim("kill", "words")[0] == 3
    assert list((heronshim_home.path / "nimbus").iterdir()) == []


def test_the_verb_storm_names_what_is_wrong(word_count: Path) -> None:
    assert "expected KEY=VALUE" in heronshim("jar", "-c", "x", str(word_count), "WordCount")[1]
    code, output = heronshim("jar", str(word_count), "NoSuch")
    assert (code, "NoSuch" in output) == (1, True)
    assert heronshim("jar", str(word_count.parent / "no.jar"), "WordCount")[0] == 2


SLEEPER = """
class Sleeper {
    public static void main(String[] arguments) throws Exception {
        System.out.println(ProcessHandle.current().pid());
        Thread.sleep(1_000_000);
    }
}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_verb_storm_takes_its_main_with_it(
    client_path: list[Path], tmp_path: Path, heronshim_home: Home, number: int
) -> None:
    (tmp_path / "Sleeper.java").write_text(SLEEPER)
    jar = pack_jar(compile_java(tmp_path / "Sleeper.java", client_path, tmp_path))
    command = [sys.executable, "-m", "heronshim.cli.main", "storm", "jar", str(jar), "Sleeper"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        main = psutil.Process(int(process.stdout.readline()))
        process.send_signal(number)
        assert process.wait(300) == 128 + number
    assert not main.is_running()
    assert list((heronshim_home.path / "nimbus").iterdir()) == []
