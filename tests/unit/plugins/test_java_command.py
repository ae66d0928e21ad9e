"""The command of a Java instance: jars that are there, and one clear line for what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from heronshim.core.plugins import java_command
from heronshim.core.plugins.java_command import STORM_VERSION, cache_folder, java_argv
from heronshim.core.plugins.local_options import LocalOptions
from heronshim.errors import ConfigError

JAR = "heronshim-instance.jar"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java 17, an empty cache and a clone in which nothing is built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jvm"))
    monkeypatch.setattr(java_command, "_BUILT", tmp_path / "target")
    monkeypatch.setattr(java_command, "_INSTALLED", tmp_path / "installed")
    (tmp_path / "jvm" / "bin").mkdir(parents=True)
    (tmp_path / "jvm" / "bin" / "java").touch()
    (tmp_path / "jvm" / "release").write_text('JAVA_VERSION="17.0.15"\n')
    return tmp_path


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def client(version: str = STORM_VERSION) -> str:
    return f"storm-client-{version}.jar"


def test_jars_of_a_clone(home: Path) -> None:
    fill(home / "target", JAR)
    storm = fill(home / "target" / "storm-2.8", client())
    argv = java_argv()
    assert argv[0] == str(home / "jvm" / "bin" / "java")
    expected = f"{home}/target/{JAR}:{storm}/*:package/stormjar.jar:package/lib/*"
    assert argv[-3:] == ("-cp", expected, "io.heronshim.instance.Main")


def test_jars_of_the_users_cache_without_a_clone(home: Path) -> None:
    jar = fill(home / "cache" / "heronshim" / "java", JAR) / JAR
    storm = fill(home / "cache" / "heronshim" / f"storm-client-{STORM_VERSION}", client())
    assert java_argv()[-2].startswith(f"{jar}:{storm}/*:")


def test_jar_of_an_installed_wheel(home: Path) -> None:
    jar = fill(home / "installed", JAR) / JAR
    fill(home / "cache" / "heronshim" / f"storm-client-{STORM_VERSION}", client())
    assert java_argv()[-2].startswith(f"{jar}:")


def test_heap_follows_the_memory_limit(home: Path) -> None:
    fill(home / "target", JAR)
    fill(home / "target" / "storm-2.8", client())
    assert "-XX:MaxRAM=1000" in LocalOptions.parse({}).argv("java", "/p", 1000)
    assert not [word for word in java_argv() if "MaxRAM" in word]


def test_missing_jar_says_how_to_build_it(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"instance\.jar .*in a clone with: make java"):
        java_argv()


def test_client_of_another_version_is_not_taken(home: Path) -> None:
    fill(home / "target", JAR)
    fill(home / "target" / "storm-2.8", client("2.0.0"))
    with pytest.raises(ConfigError, match=f"storm-client-{STORM_VERSION}.*heronshim setup java"):
        java_argv()


def test_missing_java_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home / "target", JAR)
    fill(home / "target" / "storm-2.8", client())
    (home / "jvm" / "bin" / "java").unlink()
    with pytest.raises(ConfigError, match=r"^instances in java.*JAVA_HOME.*default-jre-headless"):
        java_argv()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(ConfigError, match="no program java on PATH"):
        java_argv()


@pytest.mark.parametrize(("version", "shown"), [("1.8.0_402", "8"), ("11.0.2", "11")])
def test_old_java_is_refused_by_its_version(home: Path, version: str, shown: str) -> None:
    fill(home / "target", JAR)
    fill(home / "target" / "storm-2.8", client())
    (home / "jvm" / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    with pytest.raises(ConfigError, match=f"is Java {shown}; set JAVA_HOME"):
        java_argv()


def test_a_cache_that_is_not_absolute_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in ("", "here"):
        monkeypatch.setenv("XDG_CACHE_HOME", root)
        assert cache_folder() == tmp_path / ".cache" / "heronshim"


def test_without_a_home_folder_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError, match="set XDG_CACHE_HOME to a folder of yours"):
        cache_folder()


def test_version_of_the_client_is_that_of_the_build() -> None:
    pom = Path(java_command.__file__).parents[3] / "instances" / "java" / "pom.xml"
    assert f"<storm.version>{STORM_VERSION}</storm.version>" in pom.read_text()
