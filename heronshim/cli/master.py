"""Reaches the TMaster of a topology. Apart from `engine`, since it imports ZeroMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.cli.output import note
from heronshim.core.io.control_client import ControlClient
from heronshim.core.io.tokens import read_secret
from heronshim.core.master.messages import ALL_CONTAINERS, CommandKind, CommandReply
from heronshim.errors import HeronshimError, NotFoundError

if TYPE_CHECKING:
    from heronshim.cli.engine import Running

ASK_TIMEOUT_S = 10.0
"""A TMaster answers within milliseconds; one that was just replaced within a few seconds."""


def connect(running: Running) -> ControlClient:
    """Return a new link to a topology's TMaster; the caller closes it.

    Whenever there is no TMaster any more the scheduler is asked what runs: it starts what died
    and has nobody left that would start it.

    Raises:
        NotFoundError: nothing of the topology is on this host any more.
    """
    try:
        secret = read_secret(running.engine.launch(running.name).secret_path)
    except NotFoundError as error:
        msg = f'nothing of topology "{running.name}" is left on this host; kill it'
        raise NotFoundError(msg) from error
    asked = False

    def locate() -> str | None:
        nonlocal asked
        endpoint = running.tmaster_endpoint()
        if endpoint is not None:
            asked = False
        elif not asked:
            asked = True
            try:
                running.engine.scheduler(running.name).status()
            except HeronshimError as error:
                note(f"the scheduler cannot be asked: {error}")
        return endpoint

    return ControlClient(locate, running.record.id, secret, running.name)


def ask(
    running: Running,
    kind: CommandKind,
    *,
    container: int = ALL_CONTAINERS,
    component: str = "",
    since_ms: int = 0,
) -> CommandReply:
    """Give one command to a TMaster and return its answer; see `ControlClient.call`."""
    with connect(running) as client:
        return client.ask(
            kind, ASK_TIMEOUT_S, container=container, component=component, since_ms=since_ms
        )
