"""All verbs of the command line, without the modules that carry them out.

`heronshim --help` reads this table only, so that it answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: the module whose `app` holds it, and the line that help shows."""

    module: str
    help: str


VERBS: dict[str, Verb] = {
    "demo": Verb("demo", "Count the words of a real text on two containers, and check the result."),
    "run": Verb("start", "Run a topology in the foreground until it ends or Ctrl-C."),
    "submit": Verb("start", "Start a topology and leave it running."),
    "list": Verb("list", "List topologies."),
    "describe": Verb("describe", "Show one topology: state, processes, restarts and their causes."),
    "plan": Verb("plan", "Show which container runs what, of a file or a running topology."),
    "validate": Verb("plan", "Check a topology without starting it; show all problems at once."),
    "activate": Verb("lifecycle", "Let the spouts of a topology emit again."),
    "deactivate": Verb("lifecycle", "Stop the spouts of a topology; bolts go on."),
    "restart": Verb("lifecycle", "Restart the containers of a topology, or one of them."),
    "kill": Verb("lifecycle", "End a topology and leave nothing of it."),
    "logs": Verb("logs", "Show what the processes of a topology wrote."),
    "top": Verb("metrics", "Show each component live: rates, latency, capacity, back pressure."),
    "metrics": Verb("metrics", "Show the metrics of each component, task or process once."),
    "events": Verb("events", "Show what happened: starts, deaths and their causes, plans, losses."),
    "errors": Verb("errors", "Show errors of user code and deaths of processes, by cause."),
    "doctor": Verb("doctor", "Check this host and say how to mend what is wrong."),
    "config": Verb("config", "List, show and set options; show which ones take effect."),
    "nimbus": Verb("nimbus", "Serve Storm's own clients, such as storm jar, as Nimbus does."),
    "storm": Verb("storm", "Do what Storm's own program does: storm jar, list, kill, activate."),
    "compat": Verb("compat", "Say what of Storm a jar uses, and how it runs here: compat check."),
    "setup": Verb("setup", "Fetch what components in other languages need: setup java."),
    "completion": Verb("completion", "Print the completion script of a shell."),
    "stmgr": Verb("daemons", "Run a stream manager alone; for tests against scripted peers."),
    "tmaster": Verb("daemons", "Run a topology master alone; for tests against scripted peers."),
    "version": Verb("version", "Show versions of heronshim, Python and the libraries."),
}
