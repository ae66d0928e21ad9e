"""Jars are taken only as they were pinned, and what Maven says is told."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from heronshim.errors import DeadlineError, NotFoundError, StateError
from heronshim.storm.client_jars import (
    client_jars,
    fetch_jars,
    jars_folder,
    locked_jars,
    parse_lock,
)
from tests.unit.conftest import DEADLINE_S, wait_until

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


def test_two_at_once_fetch_once(
    maven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, go = tmp_path / "runs", tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.1; done"
    script(maven, f"echo >> {runs}", wait, *WRITES)
    both_saw_none = threading.Barrier(3)
    which = shutil.which

    def seen(program: str) -> str | None:
        both_saw_none.wait(DEADLINE_S)
        return which(program)

    monkeypatch.setattr(shutil, "which", seen)
    with ThreadPoolExecutor(2) as threads:
        fetches = [threads.submit(fetch_jars, JARS, tmp_path / "jars", print) for _ in range(2)]
        both_saw_none.wait(DEADLINE_S)
        go.touch()
        assert sorted(fetch.result() for fetch in fetches) == [False, True]
    assert runs.read_text() == "\n"


@pytest.mark.parametrize("how", ["late", "interrupted"])
def test_maven_ends_with_all_that_it_started(
    maven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    timers = []

    class Timer(threading.Timer):
        def start(self) -> None:
            timers.append(self)

    monkeypatch.setattr(threading, "Timer", Timer)
    child = tmp_path / "child"
    said = "Downloaded from central: https://x/org/acme/a/1/a-1.jar"
    script(maven, "sleep 1000 > /dev/null 2>&1 &", f"echo $! > {child}", f"echo {said}", "wait")

    def say(text: str) -> None:
        if "downloaded" in text:
            if how == "interrupted":
                raise KeyboardInterrupt
            timers[0].function()

    with pytest.raises(DeadlineError if how == "late" else KeyboardInterrupt):
        fetch_jars(JARS, tmp_path / "jars", say)
    wait_until(lambda: not lives(int(child.read_text())), "the end of the child")


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
