"""The file state manager does what the memory state manager does, whatever the order of calls."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.memory_state import MemoryStateManager
from heronshim.core.spi.state_manager import Leadership, Node, SessionState, StateManager
from heronshim.errors import HeronshimError

LEASE_NS = 30_000_000_000
PATHS = st.sampled_from(["/a", "/a/b", "/a/b/c", "/d", "/d/e.epoch", "/d/e"])
WHO = st.integers(0, 1)


def outcome(call: Callable[[], object]) -> object:
    """What a call returned, or the type of what it raised."""
    try:
        return call()
    except HeronshimError as error:
        return type(error)


class Pair:
    """A file manager and the memory manager that shows what it should do."""

    def __init__(self, root: Path, store: str, now_ns: Callable[[], int]) -> None:
        options = {"root": str(root), "watch_interval_s": "0"}
        self.file = FileStateManager(options, now_ns=now_ns)
        self.memory = MemoryStateManager({"store": store})
        self.seen: dict[str, tuple[list[Node | None], list[Node | None]]] = {}
        self.states: tuple[list[SessionState], list[SessionState]] = ([], [])
        self.file.on_session(self.states[0].append)
        self.memory.on_session(self.states[1].append)

    def same(self, call: Callable[[StateManager], object]) -> object:
        """Do the same to both and return what came of it, if it was the same."""
        found = outcome(lambda: call(self.file))
        expected = outcome(lambda: call(self.memory))
        assert found == expected
        return found


class FileAgainstMemory(RuleBasedStateMachine):
    leaderships = Bundle("leaderships")
    locks = Bundle("locks")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.now_ns = 1_000_000_000_000
        root = self.folder / "state"
        self.pairs = [Pair(root, str(root), lambda: self.now_ns) for _ in range(2)]

    @rule(who=WHO, path=PATHS, value=st.binary(max_size=3), ephemeral=st.booleans())
    def put(self, who: int, path: str, value: bytes, ephemeral: bool) -> None:
        self.pairs[who].same(lambda manager: manager.put(path, value, ephemeral=ephemeral))

    @rule(who=WHO, path=PATHS, version=st.integers(0, 3))
    def put_version(self, who: int, path: str, version: int) -> None:
        self.pairs[who].same(lambda manager: manager.put(path, b"v", version=version))

    @rule(who=WHO, path=PATHS, recursive=st.booleans())
    def delete(self, who: int, path: str, recursive: bool) -> None:
        self.pairs[who].same(lambda manager: manager.delete(path, recursive=recursive))

    @rule(target=leaderships, who=WHO)
    def become_leader(self, who: int) -> object:
        won = self.pairs[who].same(lambda manager: manager.become_leader("/d/e", b"leader"))
        return (who, won)

    @rule(held=leaderships, path=PATHS)
    def put_fenced(self, held: tuple[int, object], path: str) -> None:
        who, leadership = held
        if isinstance(leadership, Leadership):
            self.pairs[who].same(lambda manager: manager.put(path, b"f", fence=leadership))

    @rule(target=locks, who=WHO, path=PATHS)
    def lock(self, who: int, path: str) -> list[Callable[[], None]]:
        releases: list[Callable[[], None]] = []

        def take(manager: StateManager) -> str:
            releases.append(manager.lock(path, 0))
            return "taken"

        self.pairs[who].same(take)
        return releases

    @rule(releases=consumes(locks))
    def unlock(self, releases: list[Callable[[], None]]) -> None:
        for release in releases:
            release()

    @rule(who=WHO, path=PATHS)
    def watch(self, who: int, path: str) -> None:
        pair = self.pairs[who]
        if path not in pair.seen:
            pair.seen[path] = ([], [])
            pair.file.watch(path, pair.seen[path][0].append)
            pair.memory.watch(path, pair.seen[path][1].append)

    @rule(who=WHO)
    def poll(self, who: int) -> None:
        pair = self.pairs[who]
        pair.file.poll()
        pair.memory.poll()
        for from_file, from_memory in pair.seen.values():
            assert from_file == from_memory
        assert pair.states[0] == pair.states[1]

    @rule()
    def time_passes(self) -> None:
        """Not so much that a session ends that is renewed now and then."""
        self.now_ns += LEASE_NS // 3
        for pair in self.pairs:
            pair.file._renew(self.now_ns)

    @precondition(lambda self: any(pair.file._session for pair in self.pairs))
    @rule(who=WHO)
    def expire(self, who: int) -> None:
        pair = self.pairs[who]
        if pair.file._session is not None:
            pair.file._session.renew(self.now_ns - LEASE_NS - 1)
            pair.memory.expire_session()

    @invariant()
    def all_see_the_same_tree(self) -> None:
        if not hasattr(self, "pairs"):
            return
        for pair in self.pairs:
            for path in ("/a", "/a/b", "/a/b/c", "/d", "/d/e", "/d/e.epoch"):
                pair.same(lambda manager, path=path: manager.get(path))
            for path in ("/", "/a", "/a/b", "/d"):
                pair.same(lambda manager, path=path: manager.children(path))

    def teardown(self) -> None:
        if not hasattr(self, "pairs"):
            return
        for pair in self.pairs:
            pair.file.poll()
            pair.file.close()
            pair.memory.close()
        last = FileStateManager({"root": str(self.folder / "state")}, now_ns=lambda: self.now_ns)
        for name in last.children("/"):
            last.delete(f"/{name}", recursive=True)
        left = {path.name for path in (self.folder / "state").glob("*")}
        assert left <= {".lock", ".locks"}
        shutil.rmtree(self.folder)


TestFileAgainstMemory = FileAgainstMemory.TestCase
TestFileAgainstMemory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
