"""A Nimbus that starts nothing keeps what was submitted, and refuses what a real one refuses."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from heronshim.errors import UploadError
from heronshim.storm.errors import (
    AlreadyAliveError,
    InvalidTopologyError,
    NotAliveError,
)
from heronshim.storm.recording import RecordingCluster, RecordingNimbus
from heronshim.storm.uploads import Uploads
from tests.unit.storm.structures import common, storm_topology


@pytest.fixture
def nimbus(tmp_path: Path) -> RecordingNimbus:
    uploads = Uploads(tmp_path / "uploads")
    return RecordingNimbus(RecordingCluster(tmp_path), uploads, "127.0.0.1", 0)


def upload(nimbus: RecordingNimbus, folder: Path, *names: str) -> str:
    """Upload a jar with entries of these names."""
    jar = folder / "a.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    location: str = nimbus.call("beginFileUpload", {})
    nimbus.call("uploadChunk", {"location": location, "chunk": jar.read_bytes()})
    nimbus.call("finishFileUpload", {"location": location})
    return location


def submit(nimbus: RecordingNimbus, location: str, **call: Any) -> None:
    arguments = {
        "name": "words",
        "jsonConf": '{"topology.workers": 2}',
        "topology": storm_topology(),
    }
    nimbus.call("submitTopology", {**arguments, "uploadedJarLocation": location, **call})


def test_a_submit_is_kept(nimbus: RecordingNimbus, tmp_path: Path) -> None:
    submit(nimbus, upload(nimbus, tmp_path, "Main.class", "resources/x.py"))
    [found] = nimbus.submissions
    assert (found.name, found.refusal, found.conf) == ("words", "", {"topology.workers": 2})
    assert found.structure == storm_topology()
    assert found.plan is not None
    assert found.plan.component("spout").task_count == 1
    assert not nimbus.call("isTopologyNameAllowed", {"name": "words"})
    assert [path.name for path in tmp_path.iterdir() if path.name not in {"a.jar", "uploads"}] == []


def test_refusals_are_kept(nimbus: RecordingNimbus, tmp_path: Path) -> None:
    location = upload(nimbus, tmp_path, "Main.class")
    lost = storm_topology(bolts={"b": common(("gone", "default", {"shuffle": {}}))})
    with pytest.raises(InvalidTopologyError):
        submit(nimbus, location, topology=lost)
    with pytest.raises(InvalidTopologyError):
        submit(nimbus, location, jsonConf="[]")
    submit(nimbus, location)
    with pytest.raises(AlreadyAliveError):
        submit(nimbus, location)
    refusals = [item.refusal for item in nimbus.submissions]
    assert "non-existent component [gone]" in refusals[0]
    assert "expected an object" in refusals[1]
    assert refusals[2] == ""
    assert "already alive" in refusals[3]
    assert nimbus.submissions[3].plan is None


@pytest.mark.parametrize("name", ["resources/../../x", "resources//x", "resources/a:b"])
def test_paths_that_leave_the_package_are_refused(
    nimbus: RecordingNimbus, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UploadError, match="entry"):
        submit(nimbus, upload(nimbus, tmp_path, "Main.class", name))
    assert "entry" in nimbus.submissions[0].refusal


def test_nothing_runs(nimbus: RecordingNimbus, tmp_path: Path) -> None:
    submit(nimbus, upload(nimbus, tmp_path, "Main.class"))
    with pytest.raises(NotAliveError):
        nimbus.call("killTopology", {"name": "words"})
    with pytest.raises(NotAliveError):
        nimbus.call("getTopologyInfoByName", {"name": "words"})
