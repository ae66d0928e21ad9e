"""Scheduler on this host; entry point "local".

A client of the topology's launcher (core.daemons.launcher), which it starts when it is not
there. The command line and the TMaster each make one of their own from the topology's Launch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.launch_file import LAUNCH_FILE, write_launch
from heronshim.core.io.launcher_protocol import Order, Request
from heronshim.core.plugins.launcher_client import LauncherClient, NothingThereError
from heronshim.core.plugins.local_options import LocalOptions
from heronshim.errors import RefusedError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.core.plan.physical import ContainerPlan
    from heronshim.core.spi.scheduler import ContainerStatus, Launch

ORDER_TIMEOUT_S = 15.0
"""A launcher starts in 0.2 s and takes an order in milliseconds; a host may be busy."""
KILL_TIMEOUT_S = 30.0
"""Above the launcher's own limit for a kill, so that its answer says what does not die."""


class LocalScheduler:
    """Starts and stops the containers of one topology on this host. One thread."""

    def __init__(self, launch: Launch) -> None:
        """Touch nothing yet. Options in `launch.scheduler_options`: see `LocalOptions`.

        Raises:
            ConfigError: an option is unknown or wrong.
            StateError: the socket folder's path is too long.
        """
        self._launch = launch
        self._work_dir = launch.work_dir
        self._options = LocalOptions.parse(launch.scheduler_options)
        self._launcher = LauncherClient(launch)

    def start_master(self, launch: Launch) -> None:
        """See `Scheduler.start_master`. Makes the work folder and launch.json if missing."""
        self._check(launch)
        try:
            Path(self._work_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"work folder {self._work_dir} cannot be made: {error}"
            raise SchedulerError(msg) from error
        if not self._exists():
            write_launch(launch)
        self._order(Order.START_MASTER, launch=launch)

    def add_containers(self, plans: Sequence[ContainerPlan], launch: Launch) -> None:
        """See `Scheduler.add_containers`.

        A container that runs with another plan is restarted with the new one.
        """
        self._check(launch)
        for plan in plans:
            for process in plan.processes:
                # Refused here, where somebody reads it, not in a supervisor's log.
                language = launch.languages.get(process.component, "python")
                self._options.argv(language, launch.python)
        self._order(Order.ADD, launch=launch, plans=tuple(plans))

    def remove_containers(self, ids: Sequence[int]) -> None:
        """See `Scheduler.remove_containers`. Unknown ids are gone already."""
        self._order(Order.REMOVE, ids=tuple(ids))

    def restart(self, ids: Sequence[int], request_id: str = "") -> None:
        """See `Scheduler.restart`; raises NotFoundError for an unknown id."""
        self._order(Order.RESTART, ids=tuple(ids), request_id=request_id)

    def kill(self) -> None:
        """See `Scheduler.kill`. Removes the work folder, logs included."""
        if not self._exists():
            return
        try:
            self._launcher.call(Request(_request_id(), Order.KILL), KILL_TIMEOUT_S)
        except NothingThereError:
            return

    def status(self) -> list[ContainerStatus]:
        """See `Scheduler.status`. Starts a launcher that died, so that it keeps the topology up."""
        if not self._exists():
            return []
        try:
            reply = self._launcher.call(Request(_request_id(), Order.STATUS), ORDER_TIMEOUT_S)
        except NothingThereError:
            return []
        return list(reply.containers)

    def _exists(self) -> bool:
        return (Path(self._work_dir) / LAUNCH_FILE).exists()

    def _check(self, launch: Launch) -> None:
        mine = (self._launch.work_dir, self._launch.socket_dir)
        if (launch.work_dir, launch.socket_dir) != mine:
            msg = f"this scheduler serves {mine}, not {launch.work_dir} and {launch.socket_dir}"
            raise RefusedError(msg)

    def _order(
        self,
        order: Order,
        *,
        launch: Launch | None = None,
        plans: tuple[ContainerPlan, ...] = (),
        ids: tuple[int, ...] = (),
        request_id: str = "",
    ) -> None:
        request = Request(request_id or _request_id(), order, launch, plans, ids)
        try:
            self._launcher.call(request, ORDER_TIMEOUT_S)
        except NothingThereError as error:
            msg = f"no topology runs in {self._work_dir}"
            raise SchedulerError(msg) from error


def _request_id() -> str:
    return os.urandom(8).hex()
