"""Verb demo: the first thing a newcomer runs."""

from __future__ import annotations

import secrets
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heronshim.cli.chaos import ChaosRun, TallySampler, kill_value
from heronshim.cli.demo_board import DemoBoard, Moment, kills_table, save_picture
from heronshim.cli.engine import Engine
from heronshim.cli.home import home_folder
from heronshim.cli.master import connect
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.progress import Steps, interrupt_on_signals
from heronshim.cli.removal import remove_topology
from heronshim.cli.start import is_exhausted
from heronshim.cli.submission import submit, wait_until_running
from heronshim.core.master.messages import CommandKind
from heronshim.demo.chaos import TREES_BETWEEN, Chaos, missing_words
from heronshim.demo.text import PlainCount, plain_count
from heronshim.demo.word_count import read_counts, word_count
from heronshim.errors import ConfigError, DeadlineError
from heronshim.instance.loader import LoadedTopology

if TYPE_CHECKING:
    from collections import Counter

    from heronshim.cli.engine import Running
    from heronshim.core.io.control_client import ControlClient
    from heronshim.core.master.messages import MetricsSnapshot

DURATION_S = 20.0
"""How long the run lasts when no rate is given."""
CHAOS_DURATION_S = 40.0
"""The same with --chaos: a process is replaced and has joined within a few seconds."""
CHAOS_LINES_MIN = 8 * TREES_BETWEEN
RECOVER_WAIT_S = 60.0
"""So long a victim's replacement is waited for once all is counted."""
REPEAT = 4
START_TIMEOUT_S = 60.0
SILENCE_S_MAX = 60.0
"""Without a further acked line for this long, the run has failed."""
REFRESH_S = 0.25
FILES_WAIT_S = 10.0
"""The counting tasks write twice a second."""
ASK_TIMEOUT_S = 5.0
app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Order:
    """What to run, and what must come out."""

    path: str
    times: int
    rate: float
    chaos: bool
    expected: PlainCount
    results: str
    quiet: bool


@app.command("demo")
def demo(
    rate: Annotated[
        str,
        typer.Option("--rate", help='Lines a second, or "max"; by default it takes 20 s.'),
    ] = "auto",
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="How often the text is read.")
    ] = REPEAT,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="A text file to count instead.")
    ] = None,
    chaos: Annotated[
        bool,
        typer.Option("--chaos", help="Kill three of its processes meanwhile."),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Save the last view as an SVG picture.")
    ] = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Count the words of a real text on two containers, and check the result."""
    as_json = wants_json(output, json)
    path = "" if input_file is None else str(input_file.absolute())
    try:
        expected = plain_count(path, repeat)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        msg = f"--input {input_file}: cannot be read: {cause}; give a text file"
        raise ConfigError(msg) from error
    if not expected.lines:
        msg = f"--input {input_file}: it has no line; give a text file"
        raise ConfigError(msg)
    if chaos and expected.lines < CHAOS_LINES_MIN:
        msg = (
            f"--chaos needs {CHAOS_LINES_MIN} lines at least, there are {expected.lines}; "
            "read the text more often with --repeat"
        )
        raise ConfigError(msg)
    lines_per_s = _rate(rate, expected.lines / (CHAOS_DURATION_S if chaos else DURATION_S))
    with tempfile.TemporaryDirectory(prefix="demo-", dir=home_folder()) as results:
        order = _Order(path, repeat, lines_per_s, chaos, expected, results, as_json)
        last = _run(order)
        counts = read_counts(results)
    if picture is not None:
        try:
            save_picture(last, picture)
        except OSError as error:
            note(f"--picture {picture} cannot be written: {error.strerror}")
    problems = _problems(order, last, counts)
    if as_json:
        print_json(_value(order, last, counts, problems))
    else:
        _print(order, last, counts, problems)
    if problems:
        raise typer.Exit(1)


def _rate(text: str, auto: float) -> float:
    """Return lines a second, 0 for no limit."""
    if text == "max":
        return 0.0
    if text == "auto":
        return auto
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e9:
        msg = f'--rate must be lines a second above 0, or "max", not "{text}"'
        raise ConfigError(msg)
    return rate


def _run(order: _Order) -> Moment:
    """Run the topology to its end and remove it; return its last moment."""
    name = f"word-count-{secrets.token_hex(2)}"
    definition = word_count(
        name, order.results, order.path, order.times, order.rate, tally=order.chaos
    )
    steps = Steps(quiet=order.quiet)
    began = time.monotonic()
    interrupt_on_signals()
    with Engine.open() as engine:
        running = submit(engine, LoadedTopology(definition, {}, ()), steps)
        try:
            wait_until_running(running, steps, START_TIMEOUT_S)
            last = _watch(running, order, time.monotonic() - began)
        finally:
            # Nothing is worth waiting for: all is counted, or the run has failed.
            remove_topology(engine, name, steps, 0)
    return last


def _watch(running: Running, order: _Order, start_s: float) -> Moment:
    """Show how it goes until every line is acked and counted; return the last moment.

    Raises:
        DeadlineError: nothing moves any more.
    """
    snapshot = None
    moment = _moment(order, snapshot, start_s)
    silent_since = time.monotonic()
    with ExitStack() as stack:
        client = stack.enter_context(connect(running))
        board = stack.enter_context(DemoBoard(quiet=order.quiet))
        chaos = None
        if order.chaos:
            sampler = stack.enter_context(TallySampler(order.results))
            chaos = ChaosRun(running, sampler, order.expected.lines)
        while snapshot is None or not is_exhausted(running, snapshot):
            running.engine.manager.poll()
            snapshot = _snapshot(client, quiet=order.chaos) or snapshot
            if chaos is not None:
                chaos.turn(client)
            before, moment = moment, _moment(order, snapshot, start_s, chaos)
            board.show(moment)
            if moment.acked > before.acked:
                silent_since = time.monotonic()
            if time.monotonic() - silent_since > SILENCE_S_MAX:
                acked = f"{moment.acked} of {moment.lines} were"
                msg = f"no line was acked for {SILENCE_S_MAX:g} s; {acked}"
                raise DeadlineError(msg)
            time.sleep(REFRESH_S)
        if chaos is not None:
            chaos.finish(client, RECOVER_WAIT_S)
        # All is counted; what is written lags by a tick.
        deadline = time.monotonic() + FILES_WAIT_S
        while missing_words(moment.counts, order.expected.words) and time.monotonic() < deadline:
            time.sleep(REFRESH_S)
            moment = _moment(order, snapshot, start_s, chaos)
            board.show(moment)
    return moment


def _moment(
    order: _Order, snapshot: MetricsSnapshot | None, start_s: float, chaos: ChaosRun | None = None
) -> Moment:
    # The spout's own tally is exact, and there while no TMaster answers.
    tally = chaos.tally() if chaos else None
    return Moment(
        lines=order.expected.lines,
        acked=tally.acked if tally else int(_total(snapshot, "ack_count")),
        failed=tally.failed if tally else int(_total(snapshot, "fail_count")),
        words_per_s=_words_per_s(snapshot),
        counts=read_counts(order.results),
        start_s=start_s,
        kills=tuple(replace(kill) for kill in chaos.chaos.kills) if chaos else (),
    )


def _problems(order: _Order, last: Moment, counts: Counter[str]) -> list[str]:
    """Return what is wrong with the result: with --chaos words may be counted more than once."""
    problems = Chaos(last.kills, order.expected.lines).problems()
    if last.acked < order.expected.lines:
        problems.append(f"{last.acked} of {order.expected.lines} lines were acked")
    wrong = missing_words(counts, order.expected.words)
    if not order.chaos:
        more = counts - order.expected.words
        wrong |= {word: (counts[word], order.expected.words[word]) for word in more}
    if wrong:
        word, (counted, wanted) = min(wrong.items())
        problems.append(
            f"a plain count differs in {len(wrong)} words, such as {word}: {wanted}, not {counted}"
        )
    return problems


def _snapshot(client: ControlClient, *, quiet: bool) -> MetricsSnapshot | None:
    try:
        return client.ask(CommandKind.METRICS, ASK_TIMEOUT_S).metrics
    except DeadlineError as error:
        if not quiet:
            note(str(error))
        return None


def _total(snapshot: MetricsSnapshot | None, name: str) -> float:
    tasks = snapshot.tasks if snapshot else ()
    return sum(task.sums.get(name, 0.0) for task in tasks if task.component == "lines")


def _words_per_s(snapshot: MetricsSnapshot | None) -> float:
    tasks = snapshot.tasks if snapshot else ()
    name = "execute_count/split/default_rate"
    return sum(task.gauges.get(name, 0.0) for task in tasks if task.component == "count")


def _replayed(order: _Order, counts: Counter[str]) -> int:
    """Return how many words were counted more than once, because their line was replayed."""
    return (counts - order.expected.words).total()


def _value(
    order: _Order, last: Moment, counts: Counter[str], problems: list[str]
) -> dict[str, Any]:
    value: dict[str, Any] = {
        "lines": order.expected.lines,
        "words": counts.total(),
        "acked": last.acked,
        "failed": last.failed,
        "matches": counts == order.expected.words,
        "seconds_to_start": round(last.start_s, 3),
        "top": [{"word": word, "count": count} for word, count in counts.most_common(10)],
    }
    if order.chaos:
        value["chaos"] = {
            "kills": [kill_value(kill) for kill in last.kills],
            "replayed_words": _replayed(order, counts),
            "problems": problems,
        }
    return value


def _print(order: _Order, last: Moment, counts: Counter[str], problems: list[str]) -> None:
    for place, (word, count) in enumerate(counts.most_common(10), 1):
        print_line(f"{place:2}  {count:9,}  {word}")
    lines = order.expected.lines
    print_line(f"lines {lines}, words {counts.total()}, acked {last.acked}, failed {last.failed}")
    if order.chaos:
        print_line()
        print_table(*kills_table(last.kills))
        print_line()
    for problem in problems:
        print_line(problem)
    if problems:
        return
    if order.chaos:
        print_line(
            "every line is acked, and no word's count is below that of a plain count; "
            f"{_replayed(order, counts)} words were counted again with a line that was replayed"
        )
    else:
        print_line("a plain count of the same text gives the same")
