"""An unmodified jar, submitted by Storm's unmodified client, runs: each word is counted once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from heronshim.cli.nimbus_cluster import EngineCluster
from tests.input.nimbus_client import Gateway
from tests.system.conftest import wait_until
from tests.system.storm.conftest import JVM_S, StormClient

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(2400)]
LINES = 1000
TEXT = ("the cow jumped over the moon", "an apple a day")
"""As in WordCount.java."""


def counts_of(info: dict[str, Any], component: str, kind: str, name: str) -> int:
    """Sum of a count over the executors of a component, as a client of Storm reads it."""
    total = 0
    for executor in info["executors"]:
        if executor["component_id"] == component:
            counts = executor["stats"]["specific"][kind][name][":all-time"]
            values = counts.values() if isinstance(counts, dict) else [item[1] for item in counts]
            total += sum(values)
    return total


def test_words_are_counted_once(
    java_instance: Path, gateway: Gateway, storm: StormClient, word_count: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "counts"
    folder.mkdir()
    code, output = storm.run("WordCount", "words", str(LINES), str(folder), jar=word_count)
    assert code == 0, output
    expected = Counter(word for number in range(LINES) for word in TEXT[number % 2].split())

    def info() -> dict[str, Any]:
        with gateway.client() as client:
            found: dict[str, Any] = client.call("getTopologyInfoByName", name="words")["success"]
            return found

    def is_done() -> bool:
        """Reports of different processes come at different times."""
        found = info()
        return (
            counts_of(found, "spout", "spout", "acked") >= LINES
            and counts_of(found, "split", "bolt", "executed") >= LINES
            and counts_of(found, "count", "bolt", "executed") >= expected.total()
        )

    wait_until(is_done, "all lines acked and words counted", JVM_S)
    found = info()
    assert counts_of(found, "spout", "spout", "acked") == LINES
    assert counts_of(found, "spout", "spout", "failed") == 0
    assert counts_of(found, "split", "bolt", "executed") == LINES
    assert counts_of(found, "count", "bolt", "executed") == expected.total()
    assert found["errors"] == {"count": [], "split": [], "spout": []}
    assert found["status"] == "ACTIVE"
    assert len({executor["port"] for executor in found["executors"]}) == 2
    code, output = storm.command("KillTopology", "words", "-w", "0")
    assert code == 0, output
    wait_until(lambda: not EngineCluster().names(), "the end of words", JVM_S)
    counted = [
        (word, int(count))
        for file in folder.iterdir()
        for word, count in map(str.split, file.read_text().splitlines())
    ]
    # No word was counted by two tasks.
    assert len(counted) == len(expected)
    assert Counter(dict(counted)) == expected
