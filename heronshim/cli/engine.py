"""What every verb works on: settings, the state of topologies, and ways to reach them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heronshim.cli.home import home_folder, topologies_folder
from heronshim.cli.names import checked_name
from heronshim.cli.output import note
from heronshim.cli.settings import Settings, read_settings
from heronshim.core.io.launch_file import read_launch
from heronshim.core.io.state_layout import TopologyNodes, topology_names
from heronshim.core.spi import registry
from heronshim.errors import NotFoundError, StateError, nearest

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.records import ExecutionState
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.scheduler import Launch, Scheduler
    from heronshim.core.spi.state_manager import StateManager
    from heronshim.core.spi.uploader import Uploader


class Engine:
    """An open session on the state manager that the settings name. One thread.

    Use as a context manager: the end closes the session.
    """

    def __init__(self, home: Path, settings: Settings, manager: StateManager) -> None:
        self.home = home
        self.settings = settings
        self.manager = manager

    @classmethod
    def open(cls) -> Engine:
        """Open what HERONSHIM_HOME and its configuration name.

        Raises:
            ConfigError, StateError: something there is wrong.
        """
        home = home_folder()
        settings = read_settings(home)
        make = registry.load(registry.STATE_MANAGERS, settings.state_manager)
        return cls(home, settings, make(settings.state_options))

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.manager.close()

    def work_dir(self, name: str) -> Path:
        """Return the folder of a topology's processes, there or not."""
        return topologies_folder(self.home) / name

    def state(self, name: str) -> TopologyNodes:
        """Return the nodes of a topology, there or not; checks the name."""
        return TopologyNodes(self.manager, checked_name(name))

    def uploader(self) -> Uploader:
        """Return the store of packages."""
        make = registry.load(registry.UPLOADERS, self.settings.uploader)
        found: Uploader = make(self.settings.uploader_options)
        return found

    def names(self) -> list[str]:
        """Return the names of all topologies, ascending."""
        return topology_names(self.manager)

    def launch(self, name: str) -> Launch:
        """Return how a topology's containers are started; raises NotFoundError, StateError."""
        return read_launch(str(self.work_dir(name)))

    def scheduler(self, name: str) -> Scheduler:
        """Return who runs a topology's containers; raises NotFoundError, StateError."""
        launch = self.launch(name)
        make: Any = registry.load(registry.SCHEDULERS, launch.scheduler)
        found: Scheduler = make(launch)
        return found

    def find_even_damaged(self, name: str) -> Running | None:
        """Return a topology that was submitted; None for one whose state is damaged.

        Raises:
            ConfigError, NotFoundError: as `find`.
        """
        try:
            return self.find(name)
        except StateError as error:
            note(f"warning: {error}")
            return None

    def find(self, name: str) -> Running:
        """Return a topology that was submitted.

        Raises:
            ConfigError: this is no name.
            NotFoundError: there is none; names the nearest.
            StateError: its state is damaged, or its submit was interrupted.
        """
        state = self.state(name)
        return Running(self, state, *state.submitted())


@dataclass(frozen=True, slots=True)
class Running:
    """A submitted topology, as the state manager has it."""

    engine: Engine
    state: TopologyNodes
    record: ExecutionState
    topology: Topology
    packing_plan: PackingPlan

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    def check_component(self, component: str) -> None:
        """Check that it has this component.

        Raises:
            NotFoundError: it has not; names the nearest.
        """
        known = [item.id for item in self.topology.components]
        if component not in known:
            names = ", ".join(known)
            msg = f'topology "{self.name}" has no component "{component}"; it has: {names}.'
            raise NotFoundError(msg + nearest(component, known))

    def tmaster_endpoint(self) -> str | None:
        """Return where its TMaster listens now; None while there is none."""
        self.engine.manager.poll()
        location = self.state.tmaster()
        return location.endpoint if location else None
