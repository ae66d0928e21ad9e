"""Verb compat: says of an author's jar what it uses of Storm, and how that runs here."""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heronshim.cli.gateway import HOST, own_users
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.progress import Steps, interrupt_on_signals
from heronshim.cli.storm import (
    JVM_OPTIONS,
    ArgumentsArgument,
    ConfigOption,
    JarArgument,
    MainArgument,
    private_folder,
    storm_option,
)
from heronshim.core.plugins.java_command import instance_jar, java_program, java_version
from heronshim.errors import ConfigError, DeadlineError, HeronshimError, nearest
from heronshim.storm.client_jars import client_jars, fetch_client_jars
from heronshim.storm.compat import (
    Report,
    generation,
    jar_notes,
    note,
    report_json,
    topology_report,
)
from heronshim.storm.compat_table import FEATURES, Verdict
from heronshim.storm.errors import MainError
from heronshim.storm.inspection import JarFacts, TopologyObjects, read_facts
from heronshim.storm.interface import nimbus_interface
from heronshim.storm.jar_resources import entry_names
from heronshim.storm.recording import RecordingCluster, RecordingNimbus
from heronshim.storm.sandbox import Cause, SandboxEnd, run_sandboxed
from heronshim.storm.server import NimbusServer, ServerLimits
from heronshim.storm.thrift_codec import struct_to_bytes
from heronshim.storm.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.storm.compat import ComponentReport, Note
    from heronshim.storm.recording import Submission

HEAP = "512m"
RAM_BYTES = 3 << 29
"""Of a virtual machine and all that it starts."""
SETTLE_S = 5.0
"""What submitted and goes on is ended after this time, unless it submits again."""
INSPECT_S = 120.0
LINES_SHOWN = 5
MAIN_CLASS = "io.heronshim.inspect.Inspect"
WORDS = {
    Verdict.RUNS: "runs unchanged",
    Verdict.NOTES: "runs, with notes",
    Verdict.BLOCKED: "blocked",
}
COLUMNS = ("component", "kind", "uses", "class", "executors", "tasks", "inputs", "verdict")
app = typer.Typer(rich_markup_mode=None, help="Say what of Storm a jar uses, and how it runs here.")


@app.callback()
def _compat() -> None:
    pass


@app.command(
    "check",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
def check(
    jar: JarArgument,
    main: MainArgument,
    arguments: ArgumentsArgument = None,
    config: ConfigOption = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds until main must have submitted.")
    ] = 60.0,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Say how a jar's topologies would run, without starting them; code 4 if something blocks."""
    as_json = wants_json(output, json)
    names = entry_names(jar)
    if ":" in str(jar.resolve()):
        msg = f"{jar.resolve()}: a class path cannot hold a path with a colon; move the jar"
        raise ConfigError(msg)
    _check_main(main, names)
    options = [storm_option(item) for item in config or ()]
    java, steps = java_program(), Steps(quiet=as_json)
    instance = instance_jar()
    interrupt_on_signals()
    with steps.step("storm-client") as say:
        say("all jars are there" if not fetch_client_jars(say) else "fetched")
    with tempfile.TemporaryDirectory(prefix="check-", dir=private_folder()) as name:
        folder = Path(name)
        with steps.step("main") as say:
            command = [java, *JVM_OPTIONS, *_limits(folder), f"-Dstorm.jar={jar.resolve()}"]
            command += [f"-Dstorm.options={','.join(options)}"] if options else []
            paths = [*client_jars(), jar.resolve(), folder]
            command += ["-cp", _class_path(paths), main, *(arguments or ())]
            found = asyncio.run(_record(command, folder, timeout))
            say(f"{found.end.how}, {len(found.submissions)} topologies")
    # Another folder: main could have put anything into its own.
    with tempfile.TemporaryDirectory(prefix="check-", dir=private_folder()) as name:
        folder = Path(name)
        with steps.step("inspect"):
            paths = [instance, *client_jars(), jar.resolve()]
            command = [java, *JVM_OPTIONS, *_limits(folder), "-cp", _class_path(paths)]
            command += [MAIN_CLASS, name, str(jar.resolve())]
            facts, objects = asyncio.run(_inspect(command, folder, found.submissions))
    report = _report(jar, main, found, facts, objects, names, java_version(java))
    if as_json:
        print_json(report_json(report))
    else:
        _print(report)
    raise typer.Exit(4 if report.verdict is Verdict.BLOCKED else 0)


def _check_main(main: str, names: Sequence[str]) -> None:
    if f"{main.replace('.', '/')}.class" in names:
        return
    classes = [
        name[: -len(".class")].replace("/", ".") for name in names if name.endswith(".class")
    ]
    short = [name for name in classes if name.rpartition(".")[2] == main.rpartition(".")[2]]
    hint = f' Did you mean "{short[0]}"?' if short else nearest(main, classes)
    msg = f"the jar has no class {main[:200]}.{hint}"
    raise ConfigError(msg)


def _limits(folder: Path) -> list[str]:
    """Return options of a virtual machine that may take little, and leaves nothing elsewhere."""
    return [
        f"-Xmx{HEAP}",
        "-XX:MaxDirectMemorySize=128m",
        "-XX:MaxMetaspaceSize=256m",
        "-XX:+UseSerialGC",
        # It lives for seconds.
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={folder}/crash.log",
        f"-Djava.io.tmpdir={folder}",
        "-Djava.awt.headless=true",
    ]


def _class_path(paths: Sequence[Path]) -> str:
    return ":".join(map(str, paths))


@dataclass(frozen=True, slots=True)
class _Recorded:
    end: SandboxEnd
    submissions: Sequence[Submission]


async def _record(command: Sequence[str], folder: Path, timeout_s: float) -> _Recorded:
    """Run main beside a gateway of its own that starts nothing."""
    uploads = Uploads(folder / "uploads")
    nimbus = RecordingNimbus(RecordingCluster(folder), uploads, HOST, 0)
    server = NimbusServer(nimbus, ServerLimits(users=own_users()))
    # What the gateway logs is for those who run one.
    with redirect_stderr(io.StringIO()):
        _, nimbus.port = await server.start(HOST, 0)
        try:
            settings = f'nimbus.seeds: ["{HOST}"]\nnimbus.thrift.port: {nimbus.port}\n'
            (folder / "storm.yaml").write_text(settings)

            def is_enough() -> bool:
                """Return whether it submitted, and has done nothing more for a while."""
                idle_s = time.monotonic() - nimbus.last_submit_s
                return bool(nimbus.submissions) and idle_s > SETTLE_S

            end = await run_sandboxed(command, timeout_s, RAM_BYTES, is_enough)
        finally:
            await server.close()
            await asyncio.to_thread(nimbus.close)
            uploads.close()
    return _Recorded(end, nimbus.submissions)


async def _inspect(
    command: Sequence[str], folder: Path, submissions: Sequence[Submission]
) -> tuple[JarFacts, list[TopologyObjects | str]]:
    """Have a virtual machine look into the jar and into what was submitted."""
    struct = nimbus_interface().structs["StormTopology"]
    for number, submission in enumerate(submissions):
        code = struct_to_bytes(submission.structure, struct)
        (folder / f"stormcode-{number}.ser").write_bytes(code)
    end = await run_sandboxed(command, INSPECT_S, RAM_BYTES)
    facts = read_facts(folder / "jar.json", JarFacts)
    if facts is None:
        msg = f"the inspection of the jar did not end well ({_told(end)})"
        raise MainError(msg)
    why_not = f"the virtual machine that opened its objects ended ({_told(end)})"
    numbers = range(len(submissions))
    return facts, [
        read_facts(folder / f"topology-{number}.json", TopologyObjects) or why_not
        for number in numbers
    ]


def _report(
    jar: Path,
    main: str,
    found: _Recorded,
    facts: JarFacts,
    objects: Sequence[TopologyObjects | str],
    names: Sequence[str],
    running_java: int,
) -> Report:
    api, evidence = generation(facts)
    notes = jar_notes(facts, api, running_java)
    topologies = tuple(
        topology_report(submission, each, names)
        for submission, each in zip(found.submissions, objects, strict=True)
    )
    if not topologies:
        failure = _nothing_submitted(found.end)
        if not notes:
            raise failure
        notes.append(note("no_submit", str(failure)))
    elif found.end.cause is not Cause.EXIT:
        notes.append(note("goes_on"))
    elif found.end.exit_code != 0:
        notes.append(note("main_failed", _told(found.end)))
    return Report(str(jar), main, api, evidence, topologies, tuple(notes))


def _nothing_submitted(end: SandboxEnd) -> HeronshimError:
    if end.cause is Cause.TIME:
        return DeadlineError("main did not submit in time; see --timeout")
    if end.cause is Cause.MEMORY:
        return MainError(f"main took over {RAM_BYTES >> 20} MiB, was ended, and submitted nothing")
    msg = f"main submitted no topology; it ended with {_told(end)}"
    return MainError(msg) if end.exit_code else ConfigError(f"{msg}; does it need arguments?")


def _told(end: SandboxEnd) -> str:
    """Return how it ended and what it wrote last."""
    lines = end.last_lines(200)
    thrown = [number for number, line in enumerate(lines) if line.startswith("Exception in thread")]
    first = thrown[-1] if thrown else max(0, len(lines) - LINES_SHOWN)
    shown = " | ".join(line.strip() for line in lines[first : first + LINES_SHOWN])
    return f"{end.how}: {shown}" if shown else end.how


def _print(report: Report) -> None:
    print_line(f"{report.jar} {report.main}: {WORDS[report.verdict]}")
    print_line(f"Storm API: {report.api or 'unknown'} ({report.evidence})")
    _print_notes("jar", report.notes)
    for topology in report.topologies:
        print_line()
        print_line(f"topology {topology.name}: {WORDS[topology.verdict]}")
        print_table(COLUMNS, [_row(item) for item in topology.components])
        _print_notes("topology", topology.notes)
        for component in topology.components:
            _print_notes(component.id, component.notes)


def _row(item: ComponentReport) -> list[object]:
    uses = ", ".join(FEATURES[key].title.replace("`", "") for key in item.features)
    inputs = ", ".join(
        f"{each['component']}{'' if each['stream'] == 'default' else ':' + each['stream']}"
        f" {each['grouping']}"
        for each in item.inputs
    )
    name, verdict = item.class_name or "?", WORDS[item.verdict]
    return [item.id, item.kind, uses, name, item.executors, item.tasks, inputs or "-", verdict]


def _print_notes(where: str, notes: Sequence[Note]) -> None:
    for item in notes:
        print_line(f"{where}: {item.text}")
