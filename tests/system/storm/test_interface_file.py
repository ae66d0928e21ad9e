"""The interface file says what the classes of the published jar say, id by id and type by type."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from heronshim.core.plugins.java_command import STORM_VERSION
from heronshim.storm.interface import Struct, nimbus_interface
from tests.system.storm.conftest import HERE, JVM_S, class_path, compile_java

pytestmark = pytest.mark.system
OLDER = ("ClusterSummary", "nimbus_uptime_secs")
"""A field that clients before 2.0 need, see the interface file."""


@pytest.fixture(scope="module")
def described(
    client_path: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], set[str]]:
    """Lines that Describe prints, by their first two words."""
    [jar] = [path for path in client_path if path.name == f"storm-client-{STORM_VERSION}.jar"]
    classes = compile_java(HERE / "Describe.java", client_path, tmp_path_factory.mktemp("d"))
    paths = class_path([classes, *client_path])
    words = ["java", "-cp", paths, "Describe", str(jar), "org.apache.storm.generated"]
    output = subprocess.run(words, check=True, capture_output=True, text=True, timeout=JVM_S).stdout
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in output.splitlines():
        kind, name, *rest = line.split(" ", 2)
        found[kind, name].add(" ".join(rest))
    return found


def fields(struct: Struct, *, names: bool = True) -> set[str]:
    return {
        f"{item.id} {requirement(struct, item.requirement)} {item.type.name.replace(' ', '')}"
        + (f" {item.name}" if names else "")
        for item in struct.fields.values()
        if (struct.name, item.name) != OLDER
    }


def requirement(struct: Struct, written: str) -> str:
    """Fields of unions are optional, in the jar."""
    return "optional" if struct.kind == "union" else written


@pytest.mark.parametrize("struct", nimbus_interface().structs.values(), ids=lambda item: item.name)
def test_structure(struct: Struct, described: dict[tuple[str, str], set[str]]) -> None:
    assert fields(struct) <= described["field", struct.name]


def test_required_fields_are_all_there(described: dict[tuple[str, str], set[str]]) -> None:
    """What is left out here is optional there."""
    for struct in nimbus_interface().structs.values():
        left_out = described["field", struct.name] - fields(struct)
        assert not [line for line in left_out if line.split()[1] == "required"], struct.name


def test_enums(described: dict[tuple[str, str], set[str]]) -> None:
    for enum in nimbus_interface().enums.values():
        members = {f"{number} {name}" for number, name in enum.members.items()}
        assert members == described["enum", enum.name]


def test_every_method_is_known(described: dict[tuple[str, str], set[str]]) -> None:
    there = {name for kind, name in described if kind == "method"}
    assert there == set(nimbus_interface().methods)


@pytest.mark.parametrize("name", nimbus_interface().methods)
def test_method(name: str, described: dict[tuple[str, str], set[str]]) -> None:
    method = nimbus_interface().methods[name]
    results = {line.rpartition(" ")[0] for line in described["field", f"Nimbus${name}_result"]}
    ours = fields(method.result, names=False)
    if method.is_served:
        assert fields(method.arguments) == described["field", f"Nimbus${name}_args"]
        assert ours == results
    else:
        assert ours == {line for line in results if not line.startswith("0 ")}
