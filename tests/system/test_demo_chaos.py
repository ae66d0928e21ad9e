"""The demonstration goes on while its processes are killed: real kills, every line acked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]


def test_three_processes_are_killed_and_every_line_is_counted(heronshim_home: object) -> None:
    command = [sys.executable, "-m", "heronshim.cli.main", "demo", "--chaos", "--repeat", "2"]
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    value = json.loads(done.stdout)
    assert value["acked"] == value["lines"] > 10_000
    chaos = value["chaos"]
    assert chaos["problems"] == []
    kills = chaos["kills"]
    assert [kill["role"] for kill in kills] == ["splitting instance", "stream manager", "TMaster"]
    assert [kill["at"] for kill in kills] == [0.25, 0.5, 0.75]
    for kill in kills:
        assert kill["was_running"]
        assert kill["pending"] > 0
        assert kill["pid_before"] != kill["pid_after"]
        assert 0 < kill["seconds_to_join"] <= kill["seconds_to_recover"]
    assert value["failed"] >= sum(kill["trees_failed"] for kill in kills)
    assert value["matches"] == (chaos["replayed_words"] == 0)


def test_text_that_is_too_short_is_refused(heronshim_home: object) -> None:
    command = [sys.executable, "-m", "heronshim.cli.main", "demo", "--chaos", "--input", __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "read the text more often with --repeat" in done.stderr
