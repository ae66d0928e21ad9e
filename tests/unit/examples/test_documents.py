"""The code of docs/topologies.md runs as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from heronshim.instance.loader import load_definition

DOCUMENT = Path(__file__).parents[3] / "docs" / "topologies.md"


def test_topologies_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = ["sensors", "sensors_builder", "test_sensors_parts", "test_sensors"]
    assert len(blocks) == len(names)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / f"{name}.py").write_text(block)
    before = set(sys.modules)
    try:
        assert load_definition(str(tmp_path / "sensors.py")).definition.name == "Sensors"
        loaded = load_definition(str(tmp_path / "sensors_builder.py"))
        assert set(loaded.files) == {"sensors.py", "sensors_builder.py"}
        tests = [str(tmp_path / f"{name}.py") for name in names[2:]]
        assert (
            pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *tests]) == 0
        )
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
