"""One run of one case: submit, warm up, look twice, kill. And the arithmetic on what was seen."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

HERONSHIM = [sys.executable, "-m", "heronshim.cli.main"]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ROLES = ("spout", "bolt", "stmgr", "rest")
BARE_COMMAND = [sys.executable, "-m", "bench.bare_loop"]


@dataclass(frozen=True)
class Case:
    """What is run. `pairs` spouts and as many bolts; `rate` in tuples/s, 0 = as fast as it goes."""

    delivery: str
    containers: int
    pairs: int
    rate: int = 0

    @property
    def name(self) -> str:
        mode = "ALO" if self.delivery == "at_least_once" else "AMO"
        pace = f" at {self.rate:,}/s" if self.rate else ""
        return f"{mode} {self.pairs}+{self.pairs} in {self.containers} container(s){pace}"


@dataclass
class Run:
    """What one run showed."""

    tuples_per_s: float = 0.0
    cpu_s_per_million: dict[str, float] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    foreign_cores: float = 0.0
    first_tuple_s: float = 0.0
    latency: dict[str, int] = field(default_factory=dict)


def run_case(case: Case, *, bare: bool, warm_s: float, window_s: float) -> Run:
    """Run a case once; `bare` replaces the instances by bench.bare_loop."""
    base = Path(tempfile.mkdtemp(prefix="hb-", dir="/tmp"))
    home, out = base / "h", base / "o"
    home.mkdir(mode=0o700)
    out.mkdir()
    if bare:
        commands = json.dumps({"python": [*BARE_COMMAND, str(out)]})
        (home / "config.yaml").write_text(
            "scheduler_options:\n  commands: '" + commands + "'\n", encoding="utf-8"
        )
    environment = {
        **os.environ,
        "HERONSHIM_HOME": str(home),
        "HERONSHIM_SOCKET_DIR": str(base / "s"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "BENCH_FOLDER": str(out),
        "BENCH_CONTAINERS": str(case.containers),
        "BENCH_PAIRS": str(case.pairs),
        "BENCH_DELIVERY": case.delivery,
        "BENCH_RATE": str(case.rate),
    }
    topology = str(Path(__file__).with_name("topologies.py")) + ":WordCount"
    begun_ns = time.monotonic_ns()
    submit = subprocess.Popen(
        [*HERONSHIM, "submit", topology], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        first_ns = _first_tuple_ns(out, case.pairs, submit)
        time.sleep(warm_s)
        run = _look(home, out, window_s)
        run.first_tuple_s = (first_ns - begun_ns) / 1e9
    finally:
        submit.kill()
        submit.communicate()
        subprocess.run(
            [*HERONSHIM, "kill", "WordCount", "--yes", "--wait", "0"],
            env=environment, check=False, capture_output=True,
        )  # fmt: skip
    latencies = [json.loads(file.read_text()) for file in out.glob("latency-*.json")]
    if latencies:
        run.latency = {name: max(item[name] for item in latencies) for name in ("p50_us", "p99_us")}
    shutil.rmtree(base, ignore_errors=True)
    return run


def _first_tuple_ns(out: Path, tasks: int, submit: subprocess.Popen[bytes]) -> int:
    """Wait until each counting task has counted; return when the first one did."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = [file.read_text().split("\n", 1) for file in out.glob("count-*.txt")]
        firsts = [int(lines[0].split()[0]) for lines in found if len(lines) == 2]
        if len(firsts) == tasks:
            return min(firsts)
        if submit.poll():
            assert submit.stderr is not None
            msg = f"submit failed: {submit.stderr.read().decode()}"
            raise RuntimeError(msg)
        time.sleep(0.01)
    msg = "no tuple after 120 s"
    raise RuntimeError(msg)


def _look(home: Path, out: Path, window_s: float) -> Run:
    """Look at counts and processes twice, `window_s` apart."""
    pids = _processes(home)
    begin_ns, begin_cpu, begin_busy = time.monotonic_ns(), _cpu_s(pids), _busy_s()
    time.sleep(window_s)
    end_ns, end_cpu, end_busy = time.monotonic_ns(), _cpu_s(pids), _busy_s()
    elapsed_s = (end_ns - begin_ns) / 1e9
    rate = sum(_rate(file.read_text(), begin_ns, end_ns) for file in out.glob("count-*.txt"))
    used = dict.fromkeys(ROLES, 0.0)
    rss = dict.fromkeys(ROLES, 0.0)
    for pid, role in pids.items():
        used[role] += end_cpu.get(pid, 0.0) - begin_cpu.get(pid, 0.0)
        rss[role] += _rss_mb(pid)
    millions = rate * elapsed_s / 1e6
    return Run(
        tuples_per_s=rate,
        cpu_s_per_million={role: used[role] / millions if millions else 0.0 for role in ROLES},
        cores={role: used[role] / elapsed_s for role in ROLES},
        rss_mb=rss,
        foreign_cores=(end_busy - begin_busy - sum(used.values())) / elapsed_s,
    )


def _processes(home: Path) -> dict[int, str]:
    """Return the live processes of the topology: pid -> role."""
    found: dict[int, str] = {}
    names: dict[int, str] = {}
    for log in home.glob("topologies/*/container-*/events.jsonl"):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["kind"] in ("process_started", "process_replaced"):
                names[int(event["numbers"]["pid"])] = event["process"]
    mark = f"HERONSHIM_HOME={home}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"heronshim.cli" in command:
            continue
        found[int(entry.name)] = role_of(names.get(int(entry.name), ""))
    return found


def role_of(process: str) -> str:
    """Return the role of a process id of the plan."""
    for prefix, role in (("words-", "spout"), ("count-", "bolt"), ("stmgr-", "stmgr")):
        if process.startswith(prefix):
            return role
    return "rest"


def _rate(text: str, begin_ns: int, end_ns: int) -> float:
    """Return counts per second between the samples nearest inside a window."""
    samples = [tuple(map(int, line.split())) for line in text.splitlines() if " " in line]
    inside = [item for item in samples if begin_ns <= item[0] <= end_ns]
    return rate_of(inside)


def rate_of(samples: list[tuple[int, ...]]) -> float:
    """Return counts per second from the first sample (ns, count) to the last."""
    if len(samples) < 2:
        return 0.0
    (begin_ns, first), (end_ns, last) = samples[0], samples[-1]
    return (last - first) * 1e9 / (end_ns - begin_ns)


def _cpu_s(pids: dict[int, str]) -> dict[int, float]:
    used = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used[pid] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return used


def _rss_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _busy_s() -> float:
    """CPU seconds that the whole machine has used, steal included."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / TICKS_PER_S


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pyzmq", "protobuf", "msgspec", "numpy")},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def summary(case: Case, ours: list[Run], bare: list[Run]) -> dict[str, object]:
    """Return a case's figures; the ratio is taken pair by pair."""
    totals = [sum(run.cores.values()) or 1.0 for run in ours]
    return {
        "case": asdict(case),
        "name": case.name,
        "tuples_per_s": spread([run.tuples_per_s for run in ours]),
        "bare_tuples_per_s": spread([run.tuples_per_s for run in bare]) if bare else None,
        "ratio": spread([a.tuples_per_s / b.tuples_per_s for a, b in zip(ours, bare, strict=True)])
        if bare
        else None,
        "cpu_s_per_million": {
            role: median([run.cpu_s_per_million[role] for run in ours]) for role in ROLES
        },
        "bare_cpu_s_per_million": {
            role: median([run.cpu_s_per_million[role] for run in bare]) for role in ROLES
        }
        if bare
        else None,
        "stmgr_cpu_share": median(
            [run.cores["stmgr"] / total for run, total in zip(ours, totals, strict=True)]
        ),
        "rss_mb": {role: median([run.rss_mb[role] for run in ours]) for role in ROLES},
        "first_tuple_s": spread([run.first_tuple_s for run in ours]),
        "p50_us": median([run.latency["p50_us"] for run in ours]) if ours[0].latency else None,
        "p99_us": median([run.latency["p99_us"] for run in ours]) if ours[0].latency else None,
        "foreign_cores": [round(run.foreign_cores, 2) for run in ours + bare],
        "runs": [asdict(run) for run in ours],
    }


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put text between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
