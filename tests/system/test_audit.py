"""Daemons of the engine run no code from bytes and ask no shell: watched by an audit hook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.audit.sitecustomize import EXIT_CODE

LEDGER = Path(__file__).with_name("topologies") / "ledger.py"
HOOK = Path(__file__).with_name("audit")
DEADLINE_S = 300.0
FORBIDDEN = {
    "pickle": "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
    "eval": "eval('1 + 1')",
    "exec": "exec('a = 1')",
    "compile": "compile('a = 1', 'x', 'exec')",
    "marshal": "import marshal; marshal.loads(marshal.dumps(1))",
    "system": "import os; os.system('true')",
    "shell": "import subprocess; subprocess.run('true', shell=True)",
    "sh": "import subprocess; subprocess.run(['/bin/sh', '-c', 'true'])",
    "spawned sh": "import os; os.posix_spawn('/bin/sh', ['sh', '-c', 'true'], {})",
    "exec of a program": "import os; os.execv('/bin/true', ['true'])",
    "archive": "import shutil; shutil.unpack_archive('x.zip')",
}
ALLOWED = {
    "import": "import heronshim.core.daemons.stmgr, heronshim.core.daemons.tmaster, zipfile, csv",
    "dataclass": "from dataclasses import make_dataclass; make_dataclass('A', ['b'])",
    "named tuple": "from collections import namedtuple; namedtuple('A', 'b')",
    "JSON": "import json; json.loads('[1]')",
    "a program": "import subprocess; subprocess.run(['/bin/true'])",
}


def watched(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run code as a daemon would be run."""
    file = tmp_path / "daemon.py"
    file.write_text(code)
    begin = (
        "import sys, types\n"
        f"sys.path.insert(0, {str(HOOK)!r})\n"
        "import sitecustomize\n"
        f"code = open({str(file)!r}).read()\n"
        f"made = compile(code, {str(file)!r}, 'exec')\n"
        "run = types.FunctionType(made, {'__name__': 'daemon'})\n"
        f"sitecustomize.install('heronshim.core.daemons.test', {str(tmp_path)!r})\n"
        "run()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_ends_a_daemon_with_a_message(name: str, tmp_path: Path) -> None:
    done = watched(FORBIDDEN[name], tmp_path)
    assert done.returncode == EXIT_CODE, done.stderr
    assert "is not allowed" in done.stderr
    assert list(tmp_path.glob("violation.test.*"))


@pytest.mark.parametrize("name", ALLOWED)
def test_what_python_itself_needs_is_allowed(name: str, tmp_path: Path) -> None:
    done = watched(ALLOWED[name], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("watched.test.*"))
    assert not list(tmp_path.glob("violation.*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_topology_lives_suffers_and_ends_without_code_from_bytes(
    heronshim_home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audit_folder: Path
) -> None:
    """The fixture of all system tests watches; here every daemon is seen to be watched."""
    monkeypatch.setenv("LEDGER_FOLDER", str(tmp_path))

    def value(*words: str) -> Any:
        command = [sys.executable, "-m", "heronshim.cli.main", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait(done: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, what
            time.sleep(0.2)

    def engine() -> dict[str, int]:
        return {one["id"]: one["pid"] for one in value("describe", "AtLeastOnce")["engine"]}

    value("submit", f"{LEDGER}:AtLeastOnce", "--timeout", "300")
    before = engine()
    for victim in before:
        os.kill(before[victim], signal.SIGKILL)
    wait(lambda: all(engine()[one] not in {None, before[one]} for one in before), "replacements")
    value("restart", "AtLeastOnce", "--yes", "--timeout", "300")
    value("kill", "AtLeastOnce", "--yes", "--wait", "1")
    seen = {path.name.split(".")[1] for path in audit_folder.glob("watched.*")}
    assert {"tmaster", "stmgr", "metricsmgr", "container", "launcher"} <= seen
