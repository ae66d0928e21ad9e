"""Jars are taken only as they were pinned, and what Maven says is told."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from heronshim.errors import NotFoundError, StateError
from heronshim.storm.client_jars import (
    client_jars,
    fetch_jars,
    jars_folder,
    locked_jars,
    parse_lock,
)

CONTENT = b"a jar"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
JARS = parse_lock(f"# comment\n{DIGEST}  org.acme:a:1\n{DIGEST}  org.acme:b:2:shaded\n")


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program mvn that runs the script which a test writes into it; and no other."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.defpath}")
    return program


def script(maven: Path, *lines: str) -> None:
    maven.write_text("\n".join(["#!/bin/sh", "mkdir jars", *lines]))
    maven.chmod(0o755)


WRITES = ("printf 'a jar' > jars/a-1.jar", "printf 'a jar' > jars/b-2-shaded.jar")


def test_jars_are_fetched_once(maven: Path, tmp_path: Path) -> None:
    said: list[str] = []
    script(maven, "grep -q '<classifier>shaded</classifier>' pom.xml || exit 9", *WRITES)
    folder = tmp_path / "cache" / "jars"
    assert fetch_jars(JARS, folder, said.append) is True
    assert (folder / "b-2-shaded.jar").read_bytes() == CONTENT
    script(maven, "exit 9")
    assert fetch_jars(JARS, folder, said.append) is False
    assert said == ["asking Maven for 2 jars", "2 jars"]


def test_progress_is_told(maven: Path, tmp_path: Path) -> None:
    said: list[str] = []
    script(maven, *WRITES, "echo '[INFO] Downloaded from central: https://x/org/acme/a/1/a-1.jar'")
    fetch_jars(JARS, tmp_path / "jars", said.append)
    assert said[1] == "1 of at most 2 jars downloaded: a-1.jar"


def test_a_jar_that_was_changed_is_fetched_again(maven: Path, tmp_path: Path) -> None:
    script(maven, *WRITES)
    fetch_jars(JARS, tmp_path / "jars", print)
    (tmp_path / "jars" / "a-1.jar").write_bytes(b"changed")
    assert fetch_jars(JARS, tmp_path / "jars", print) is True
    assert (tmp_path / "jars" / "a-1.jar").read_bytes() == CONTENT


def test_another_jar_than_the_pinned_one_is_refused(maven: Path, tmp_path: Path) -> None:
    script(maven, WRITES[0], "printf other > jars/b-2-shaded.jar")
    with pytest.raises(StateError, match=r"b-2-shaded.jar has SHA-256 \w+, expected"):
        fetch_jars(JARS, tmp_path / "jars", print)
    assert not (tmp_path / "jars").exists()


def test_what_maven_says_is_told(maven: Path, tmp_path: Path) -> None:
    script(maven, "echo '[INFO] so'", "echo '[ERROR] no network'", "exit 1")
    with pytest.raises(StateError, match=r"Maven failed \(1\): \[ERROR\] no network"):
        fetch_jars(JARS, tmp_path / "jars", print)


def test_without_maven_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match="apt install maven"):
        fetch_jars(JARS, tmp_path / "jars", print)


def test_missing_jars_name_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    count = len(locked_jars())
    with pytest.raises(NotFoundError, match=f"{count} of {count} .* type: heronshim setup java"):
        client_jars()
    assert jars_folder().parent == tmp_path / "heronshim"
