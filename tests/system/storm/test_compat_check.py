"""heronshim compat check on real jars, with a real virtual machine and Storm's own submitter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Home
from tests.system.storm.conftest import HERE, JVM_S, class_path, locked_jars, pack_jar

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]
ZOO = HERE.parent / "java" / "topologies"
OK, USAGE, BLOCKED, TIMEOUT = 0, 2, 4, 5


@dataclass(frozen=True)
class Ended:
    code: int
    report: dict[str, Any]
    """What `--output json` printed; empty when it printed nothing."""
    error: str

    def component(self, name: str) -> dict[str, Any]:
        [topology] = self.report["topologies"]
        [found] = [item for item in topology["components"] if item["id"] == name]
        return dict(found)

    def notes(self) -> dict[str, tuple[str, str]]:
        """Feature -> (verdict, what was found), of the jar, its topologies and components."""
        places = [self.report]
        for topology in self.report["topologies"]:
            places += [topology, *topology["components"]]
        return {
            note["feature"]: (note["verdict"], note["found"])
            for place in places
            for note in place["notes"]
        }


def check(jar: Path, *words: str, timeout: int = 300) -> Ended:
    options = ("--output", "json", "--timeout", str(timeout))
    done = subprocess.run(
        [sys.executable, "-m", "heronshim.cli.main", "compat", "check", *options, str(jar), *words],
        capture_output=True,
        text=True,
        timeout=JVM_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    report = json.loads(done.stdout) if done.stdout else {}
    error = json.loads(done.stderr)["error"] if not report else {"message": done.stderr}
    if not report:
        assert error["exit_code"] == done.returncode
    return Ended(done.returncode, report, error["message"])


@pytest.fixture(scope="module")
def jar(
    java_instance: Path, client_path: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All our topologies of Storm in one jar."""
    del java_instance
    classes = tmp_path_factory.mktemp("all")
    sources = [HERE / "WordCount.java", *(HERE / "compat").rglob("*.java")]
    sources += (ZOO / "zoo").glob("*.java")
    words = ["javac", "-nowarn", "-cp", class_path(client_path), "-d", str(classes)]
    subprocess.run([*words, *map(str, sources)], check=True, timeout=JVM_S)
    shutil.copytree(ZOO / "resources", classes / "resources")
    return pack_jar(classes)


@pytest.fixture(autouse=True)
def nothing_is_left(heronshim_home: Home) -> Any:
    """Neither files of the check nor topologies."""
    yield
    assert list((heronshim_home.path / "nimbus").glob("*")) == []
    assert list((heronshim_home.path / "topologies").glob("*")) == []


def test_a_plain_word_count_runs(jar: Path) -> None:
    ended = check(jar, "WordCount", "words", "10")
    assert ended.code == OK, ended.error
    assert ended.report["verdict"] == "runs"
    assert ended.report["api"] == "2.x"
    [topology] = ended.report["topologies"]
    assert topology["name"] == "words"
    assert topology["config"]["words.lines"] == 10
    assert topology["config_without_effect"] == []
    assert ended.notes() == {"kryo": ("runs", "WordCount")}
    count = ended.component("count")
    assert count["class"] == "WordCount$Count"
    assert count["ancestors"][:1] == ["org.apache.storm.topology.base.BaseBasicBolt"]
    assert (count["features"], count["executors"], count["tasks"]) == (["basic"], 2, 4)
    assert count["inputs"] == [
        {"component": "split", "stream": "default", "grouping": "fields(word)"}
    ]
    assert count["outputs"] == [{"stream": "default", "fields": ["word", "count"], "direct": False}]
    spout = ended.component("spout")
    assert (spout["class"], spout["features"]) == ("WordCount$Lines", ["rich"])
    assert spout["config"] == {"topology.max.spout.pending": 100}


def test_windows_shell_bolts_and_groupings_are_shown(jar: Path, tmp_path: Path) -> None:
    ended = check(jar, "zoo.Zoo", str(tmp_path))
    assert ended.code == OK, ended.error
    assert ended.report["verdict"] == "runs"
    shouter = ended.component("shouter")
    assert (shouter["class"], shouter["features"]) == ("zoo.Shouter", ["shell"])
    assert shouter["shell"] == ["python3", "shouter.py"]
    sums = ended.component("sums")
    assert (sums["class"], sums["features"]) == ("zoo.Sums", ["windowed"])
    assert sums["window"] == {
        "topology.bolts.window.length.count": 20,
        "topology.bolts.window.sliding.interval.count": 20,
    }
    groupings = {
        name: ended.component(name)["inputs"][0]["grouping"]
        for name in ("custom", "partial", "global", "direct", "all", "router", "shouts")
    }
    assert groupings == {
        "custom": "custom(zoo.ByRemainder)",
        "partial": "custom(org.apache.storm.grouping.PartialKeyGrouping)",
        "global": "global",
        "direct": "direct",
        "all": "all",
        "router": "local_or_shuffle",
        "shouts": "none",
    }


def test_what_is_not_here_is_noted(jar: Path, tmp_path: Path) -> None:
    ended = check(jar, "features.Features", "old", str(tmp_path))
    assert ended.code == OK, ended.error
    assert ended.report["verdict"] == "notes"
    notes = ended.notes()
    assert notes["metrics_v1"] == ("notes", "task.TopologyContext.registerMetric")
    assert notes["metrics_v2"] == ("notes", "task.TopologyContext.registerMeter")
    assert notes["metrics_consumers"][1] == "org.apache.storm.metric.LoggingMetricsConsumer"
    assert notes["worker_hooks"][1] == "org.apache.storm.hooks.BaseWorkerHook"
    assert "topology.worker.childopts" in notes["no_effect"][1]
    assert "shared_executor" in ended.component("old")["features"]
    assert ended.component("numbers")["verdict"] == "runs"
    # Nothing ran but main.
    assert list(tmp_path.iterdir()) == []


def test_trident_is_blocked(jar: Path, tmp_path: Path) -> None:
    ended = check(jar, "features.Features", "trident", str(tmp_path))
    assert ended.code == BLOCKED, ended.error
    [topology] = ended.report["topologies"]
    assert {item["features"][0] for item in topology["components"]} == {"trident"}
    # What another method of the class that holds its lambda expressions uses is not its own.
    assert "metrics_v1" not in ended.notes()


def test_drpc_is_blocked(jar: Path, tmp_path: Path) -> None:
    ended = check(jar, "features.Features", "drpc", str(tmp_path))
    assert ended.code == BLOCKED
    assert ended.report["verdict"] == ended.component("asked")["verdict"] == "blocked"
    assert ended.component("numbers")["verdict"] == "runs"


def test_the_api_before_storm_1_is_blocked(java_instance: Path, tmp_path: Path) -> None:
    """Its main finds no submitter here: class files alone say why."""
    del java_instance
    source = tmp_path / "WordCount.java"
    text = (HERE / "WordCount.java").read_text()
    source.write_text(text.replace("org.apache.storm.", "backtype.storm."))
    classes = tmp_path / "classes"
    jars = class_path(locked_jars("storm-core-0.10.2"))
    words = ["javac", "-nowarn", "-cp", jars, "-d", str(classes), str(source)]
    subprocess.run(words, check=True, timeout=JVM_S)
    ended = check(pack_jar(classes), "WordCount", "words")
    assert ended.code == BLOCKED
    assert (ended.report["verdict"], ended.report["api"]) == ("blocked", "0.10")
    notes = ended.notes()
    assert notes["old_api"][0] == "blocked"
    assert "WordCount" in notes["old_api"][1]
    assert "NoClassDefFoundError: backtype/storm" in notes["no_submit"][1]


@pytest.mark.parametrize(
    ("word", "code", "part"),
    [
        ("exit", 1, "it ended with exit code 7"),
        ("nothing", USAGE, "exit code 0: usage: Odd WHAT; does it need arguments?"),
        ("throw", 1, "IllegalStateException: no such broker"),
    ],
)
def test_a_main_that_submits_nothing_is_told(jar: Path, word: str, code: int, part: str) -> None:
    ended = check(jar, "odd.Odd", word)
    assert (ended.code, ended.report) == (code, {})
    assert "main submitted no topology" in ended.error
    assert part in ended.error


def test_a_main_that_loops_is_ended(jar: Path) -> None:
    """With the child that it started; that nothing is left is looked at after each test."""
    ended = check(jar, "odd.Odd", "loop", timeout=3)
    assert (ended.code, ended.report) == (TIMEOUT, {})
    assert "did not submit in time; see --timeout" in ended.error


def test_a_main_may_submit_several_and_go_on(jar: Path) -> None:
    ended = check(jar, "odd.Odd", "two")
    assert ended.code == OK, ended.error
    assert [item["name"] for item in ended.report["topologies"]] == ["first", "second"]
    assert ended.notes() == {"goes_on": ("runs", "")}


def damaged(jar: Path, how: str, folder: Path) -> Path:
    """Return a copy of a jar, damaged."""
    copy = folder / "damaged.jar"
    content = jar.read_bytes()
    if how == "cut":
        copy.write_bytes(content[: len(content) // 2])
    elif how == "text":
        copy.write_text("no jar")
    elif how == "empty":
        copy.write_bytes(b"")
    elif how == "flipped":
        middle = len(content) - 100
        copy.write_bytes(content[:middle] + bytes(byte ^ 0xFF for byte in content[middle:]))
    return copy


@pytest.mark.parametrize("how", ["cut", "text", "empty", "flipped"])
def test_a_damaged_jar_is_refused(jar: Path, tmp_path: Path, how: str) -> None:
    ended = check(damaged(jar, how, tmp_path), "WordCount", "words")
    assert (ended.code, ended.report) == (USAGE, {})
    assert "damaged.jar" in ended.error


def test_what_is_no_jar_or_no_class_is_refused(jar: Path, tmp_path: Path) -> None:
    assert check(tmp_path, "WordCount").code == USAGE
    assert check(tmp_path / "gone.jar", "WordCount").code == USAGE
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert check(pipe, "WordCount").code == USAGE
    ended = check(jar, "WordCout", "words")
    assert ended.code == USAGE
    assert 'no class WordCout. Did you mean "WordCount"?' in ended.error
    assert 'Did you mean "zoo.Zoo"?' in check(jar, "Zoo").error


def test_paths_that_leave_the_jar_block(jar: Path, tmp_path: Path) -> None:
    """And a class file that is none is told; neither is written anywhere."""
    copy = tmp_path / "evil.jar"
    shutil.copy(jar, copy)
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr("resources/../../../evil.py", "evil")
        archive.writestr("../Evil.class", "evil")
    ended = check(copy, "WordCount", "words")
    assert ended.code == BLOCKED
    notes = ended.notes()
    assert "resources/../../../evil.py" in notes["refused"][1]
    assert "../Evil.class" in notes["damaged"][1]
    assert not list(tmp_path.parent.rglob("evil.py"))
