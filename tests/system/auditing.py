"""Watches all daemons that are started, see audit/sitecustomize.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def audited(folder: Path) -> Iterator[Path]:
    """Watch the daemons that are started meanwhile, by a folder of findings; none did wrong."""
    paths = [str(Path(__file__).with_name("audit")), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("HERONSHIM_AUDIT_FOLDER", str(folder))
        yield folder
    violations = "".join(path.read_text() for path in folder.glob("violation.*"))
    assert not violations, violations
