"""The Java instance: its own tests, run by Maven; what they check by lies in tests/vectors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[3]
REPORTS = ROOT / "instances" / "java" / "target" / "surefire-reports"
MAVEN_S = 1800
"""A first run downloads Maven's plugins and the libraries."""


@pytest.mark.slow
@pytest.mark.timeout(MAVEN_S + 60)
def test_its_own_tests_pass() -> None:
    for report in REPORTS.glob("TEST-*.xml"):
        report.unlink()
    done = subprocess.run(
        [".ci/java", "test"], cwd=ROOT, capture_output=True, text=True, timeout=MAVEN_S, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    suites = [ElementTree.parse(path).getroot() for path in REPORTS.glob("TEST-*.xml")]
    assert sum(int(suite.attrib["tests"]) for suite in suites) > 500
    assert sum(int(suite.attrib["skipped"]) for suite in suites) == 0


def test_each_test_class_of_java_is_found_by_maven() -> None:
    tests = (ROOT / "instances" / "java" / "src" / "test").rglob("*.java")
    unnamed = [
        path.name
        for path in tests
        if re.search(r"@(Test|ParameterizedTest)\b", path.read_text())
        and not path.stem.endswith("Test")
    ]
    assert not unnamed
