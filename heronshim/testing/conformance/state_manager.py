"""Conformance suite of the StateManager SPI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from heronshim.core.spi.state_manager import Node, SessionState
from heronshim.errors import DeadlineError, FencedError, StateError, StateVersionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heronshim.core.spi.state_manager import StateManager

DEADLINE_S = 20.0  # How long another manager may take to see a change.


class StateManagerSuite:
    """Override `make`; override `expire` too if a test can make a session run out."""

    def make(self) -> StateManager:
        """Return a new manager. All of one test see one store, which is empty at its start."""
        raise NotImplementedError

    def expire(self, manager: StateManager) -> None:
        """Let the session of `manager` run out as the store would, without a call to it."""
        pytest.skip(f"this suite cannot expire a session of {type(manager).__name__}")

    @pytest.fixture(autouse=True)
    def _close_managers(self) -> Iterator[None]:
        self._managers: list[StateManager] = []
        yield
        for manager in reversed(self._managers):
            manager.close()

    def open(self) -> StateManager:
        """Return a manager that is closed after the test."""
        manager = self.make()
        self._managers.append(manager)
        return manager

    def eventually(self, done: Callable[[], object], *polled: StateManager) -> None:
        """Poll managers until `done` returns something true; fail after DEADLINE_S."""
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, f"not within {DEADLINE_S} s"
            for manager in polled:
                manager.poll()
            time.sleep(0.005)

    # Nodes and versions.

    def test_get_of_a_missing_node_is_none(self) -> None:
        manager = self.open()
        assert manager.get("/nothing") is None
        assert manager.get("/nothing/below") is None

    def test_put_makes_a_node_with_version_one(self) -> None:
        manager = self.open()
        assert manager.put("/a/b/c", b"value") == 1
        assert manager.get("/a/b/c") == Node(b"value", 1)

    def test_put_is_seen_by_other_managers(self) -> None:
        writer, reader = self.open(), self.open()
        writer.put("/a", b"value")
        self.eventually(lambda: reader.get("/a") == Node(b"value", 1), reader)

    def test_each_put_adds_one_to_the_version(self) -> None:
        manager = self.open()
        assert [manager.put("/a", b"%d" % number) for number in range(4)] == [1, 2, 3, 4]
        assert manager.get("/a") == Node(b"3", 4)

    @pytest.mark.parametrize(
        "value",
        [b"", b"\0", bytes(range(256)), b"x" * 1_000_000],
        ids=["empty", "zero", "all", "1MB"],
    )
    def test_values_come_back_byte_for_byte(self, value: bytes) -> None:
        manager = self.open()
        manager.put("/a", value)
        assert manager.get("/a") == Node(value, 1)

    def test_version_zero_only_creates(self) -> None:
        manager = self.open()
        assert manager.put("/a", b"first", version=0) == 1
        with pytest.raises(StateVersionError, match="/a"):
            manager.put("/a", b"second", version=0)
        assert manager.get("/a") == Node(b"first", 1)

    def test_put_with_the_right_version_replaces(self) -> None:
        manager = self.open()
        version = manager.put("/a", b"first")
        assert manager.put("/a", b"second", version=version) == version + 1

    def test_put_with_another_version_is_refused(self) -> None:
        manager = self.open()
        manager.put("/a", b"first")
        manager.put("/a", b"second")
        for version in (1, 3):
            with pytest.raises(StateVersionError, match="/a"):
                manager.put("/a", b"late", version=version)
        assert manager.get("/a") == Node(b"second", 2)

    def test_put_with_a_version_of_a_missing_node_is_refused(self) -> None:
        manager = self.open()
        with pytest.raises(StateVersionError, match="/a"):
            manager.put("/a", b"late", version=1)
        assert manager.get("/a") is None

    def test_of_two_writers_with_one_version_one_wins(self) -> None:
        first, second = self.open(), self.open()
        version = first.put("/a", b"begin")
        self.eventually(lambda: second.get("/a") is not None, second)
        first.put("/a", b"first", version=version)
        with pytest.raises(StateVersionError):
            second.put("/a", b"second", version=version)

    # Children and deletion.

    def test_children_are_names_in_ascending_order(self) -> None:
        manager = self.open()
        for name in ("b", "a", "c", "B", "1"):
            manager.put(f"/t/{name}/node", b"")
        assert manager.children("/t") == ["1", "B", "a", "b", "c"]
        assert manager.children("/t/a") == ["node"]
        assert "t" in manager.children("/")

    def test_children_of_a_leaf_or_missing_node_are_none(self) -> None:
        manager = self.open()
        manager.put("/a", b"")
        assert manager.children("/a") == []
        assert manager.children("/missing") == []

    def test_delete_tells_whether_there_was_a_node(self) -> None:
        manager = self.open()
        manager.put("/a", b"")
        assert manager.delete("/a") is True
        assert manager.delete("/a") is False
        assert manager.get("/a") is None

    def test_a_node_made_again_begins_at_version_one(self) -> None:
        manager = self.open()
        manager.put("/a", b"")
        manager.put("/a", b"")
        manager.delete("/a")
        assert manager.put("/a", b"", version=0) == 1

    def test_delete_of_a_node_with_others_below_needs_recursive(self) -> None:
        manager = self.open()
        manager.put("/a", b"")
        manager.put("/a/b/c", b"")
        with pytest.raises(StateError, match="/a"):
            manager.delete("/a")
        assert manager.get("/a/b/c") is not None
        assert manager.delete("/a", recursive=True) is True
        assert manager.get("/a/b/c") is None
        assert "a" not in manager.children("/")

    def test_recursive_delete_takes_nodes_that_others_made(self) -> None:
        manager, other = self.open(), self.open()
        other.put("/a/ephemeral", b"", ephemeral=True)
        assert other.become_leader("/a/leader", b"") is not None
        self.eventually(lambda: manager.children("/a"), manager)
        assert manager.delete("/a", recursive=True) is True
        self.eventually(lambda: "a" not in other.children("/"), other)

    # Names.

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "a",
            "a/b",
            "//",
            "/a//b",
            "/a/",
            "/../a",
            "/a/..",
            "/a/../../b",
            "/./a",
            "/a\0b",
            "/",
        ],
    )
    def test_a_bad_path_is_refused(self, path: str) -> None:
        manager = self.open()
        with pytest.raises(StateError):
            manager.put(path, b"")
        with pytest.raises(StateError):
            manager.get(path)
        with pytest.raises(StateError):
            manager.delete(path, recursive=True)
        with pytest.raises(StateError):
            manager.watch(path, lambda _: None)
        assert manager.children("/") == []

    @pytest.mark.parametrize(
        "name", ["words", "Übung", "a b", ".hidden", "...", "a%2Fb", "a.b", "x" * 100, "日本"]
    )
    def test_an_unusual_name_is_a_name(self, name: str) -> None:
        manager = self.open()
        manager.put(f"/t/{name}/node", name.encode())
        assert manager.get(f"/t/{name}/node") == Node(name.encode(), 1)
        assert manager.children("/t") == [name]

    def test_names_that_look_alike_are_different_nodes(self) -> None:
        manager = self.open()
        for name in (".a", "%2Ea", "%2ea", "a"):
            manager.put(f"/{name}", name.encode())
        for name in (".a", "%2Ea", "%2ea", "a"):
            assert manager.get(f"/{name}") == Node(name.encode(), 1)

    # Watches.

    def test_a_watch_begins_with_the_node_as_it_is(self) -> None:
        manager = self.open()
        manager.put("/a", b"now")
        seen: list[Node | None] = []
        missing: list[Node | None] = []
        manager.watch("/a", seen.append)
        manager.watch("/b", missing.append)
        self.eventually(lambda: seen and missing, manager)
        assert seen == [Node(b"now", 1)]
        assert missing == [None]

    def test_callbacks_run_in_poll_only(self) -> None:
        manager = self.open()
        seen: list[Node | None] = []
        manager.watch("/a", seen.append)
        manager.put("/a", b"value")
        manager.get("/a")
        assert seen == []

    def test_a_watch_sees_creation_change_deletion_and_creation(self) -> None:
        watcher, writer = self.open(), self.open()
        seen: list[Node | None] = []
        watcher.watch("/t/a", seen.append)
        self.eventually(lambda: seen == [None], watcher)
        writer.put("/t/a", b"1")
        self.eventually(lambda: seen[-1] == Node(b"1", 1), watcher)
        writer.put("/t/a", b"2")
        self.eventually(lambda: seen[-1] == Node(b"2", 2), watcher)
        writer.delete("/t", recursive=True)
        self.eventually(lambda: seen[-1] is None, watcher)
        writer.put("/t/a", b"3")
        self.eventually(lambda: seen[-1] == Node(b"3", 1), watcher)

    def test_a_watch_sees_a_node_deleted_and_made_again_between_polls(self) -> None:
        watcher, writer = self.open(), self.open()
        seen: list[Node | None] = []
        writer.put("/a", b"old")
        watcher.watch("/a", seen.append)
        self.eventually(lambda: seen == [Node(b"old", 1)], watcher)
        writer.delete("/a")
        writer.put("/a", b"new")
        self.eventually(lambda: seen[-1] == Node(b"new", 1), watcher)

    def test_a_watch_ends_with_the_newest_of_many_changes(self) -> None:
        watcher, writer = self.open(), self.open()
        seen: list[Node | None] = []
        watcher.watch("/a", seen.append)
        for number in range(20):
            writer.put("/a", b"%d" % number)
        self.eventually(lambda: bool(seen) and seen[-1] == Node(b"19", 20), watcher)
        versions = [node.version for node in seen if node is not None]
        assert versions == sorted(set(versions)), "a change was told twice or out of order"

    def test_a_cancelled_watch_is_silent_and_others_go_on(self) -> None:
        manager = self.open()
        cancelled: list[Node | None] = []
        kept: list[Node | None] = []
        cancel = manager.watch("/a", cancelled.append)
        manager.watch("/a", kept.append)
        self.eventually(lambda: kept == [None], manager)
        told = list(cancelled)
        cancel()
        cancel()
        manager.put("/a", b"value")
        self.eventually(lambda: kept[-1] == Node(b"value", 1), manager)
        assert cancelled == told

    def test_a_callback_may_use_its_manager(self) -> None:
        manager = self.open()
        seen: list[Node | None] = []

        def copy(node: Node | None) -> None:
            if node is not None:
                manager.put("/copy", node.value)

        manager.watch("/a", copy)
        manager.watch("/copy", seen.append)
        manager.put("/a", b"value")
        self.eventually(lambda: bool(seen) and seen[-1] == Node(b"value", 1), manager)

    # Sessions and ephemeral nodes.

    def test_a_new_session_is_connected(self) -> None:
        manager = self.open()
        manager.poll()
        assert manager.session() == SessionState.CONNECTED

    def test_an_ephemeral_node_goes_with_its_session_and_others_stay(self) -> None:
        reader, owner = self.open(), self.open()
        seen: list[Node | None] = []
        owner.put("/t/persistent", b"stays")
        owner.put("/t/ephemeral", b"goes", ephemeral=True)
        reader.watch("/t/ephemeral", seen.append)
        self.eventually(lambda: seen == [Node(b"goes", 1)], reader)
        owner.close()
        self.eventually(lambda: seen[-1] is None, reader)
        assert reader.get("/t/ephemeral") is None
        assert reader.children("/t") == ["persistent"]

    def test_an_ephemeral_node_lives_while_its_session_is_polled(self) -> None:
        reader, owner = self.open(), self.open()
        owner.put("/a", b"1", ephemeral=True)
        assert owner.put("/a", b"2", ephemeral=True) == 2
        self.eventually(lambda: reader.get("/a") == Node(b"2", 2), owner, reader)

    def test_a_node_stays_ephemeral_when_it_is_written_again(self) -> None:
        reader, owner = self.open(), self.open()
        owner.put("/a", b"1", ephemeral=True)
        owner.put("/a", b"2")
        owner.close()
        self.eventually(lambda: reader.get("/a") is None, reader)

    def test_a_persistent_or_foreign_node_cannot_become_ephemeral(self) -> None:
        manager, other = self.open(), self.open()
        manager.put("/persistent", b"")
        other.put("/foreign", b"", ephemeral=True)
        for path in ("/persistent", "/foreign"):
            with pytest.raises(StateError, match=path):
                manager.put(path, b"", ephemeral=True)

    def test_nothing_lies_below_an_ephemeral_node(self) -> None:
        manager = self.open()
        manager.put("/a", b"", ephemeral=True)
        with pytest.raises(StateError):
            manager.put("/a/b", b"")

    def test_the_end_of_a_session_is_told_once_and_a_new_one_begins(self) -> None:
        manager, reader = self.open(), self.open()
        manager.put("/a", b"", ephemeral=True)
        states: list[SessionState] = []
        manager.on_session(states.append)
        manager.poll()
        assert states == []
        self.expire(manager)
        self.eventually(lambda: SessionState.LOST in states, manager)
        self.eventually(lambda: reader.get("/a") is None, reader)
        self.eventually(lambda: states[-1] == SessionState.CONNECTED, manager)
        assert states.count(SessionState.LOST) == 1
        assert manager.put("/a", b"", ephemeral=True) == 1

    # Leadership and fencing.

    def test_one_leader_at_a_time(self) -> None:
        first, second = self.open(), self.open()
        leadership = first.become_leader("/t/leader", b"first")
        assert leadership is not None
        assert leadership.path == "/t/leader"
        assert leadership.epoch >= 1
        assert second.become_leader("/t/leader", b"second") is None
        assert first.become_leader("/t/leader", b"again") is None
        node = second.get("/t/leader")
        assert node is not None
        assert node.value == b"first"

    def test_the_next_leader_has_a_higher_epoch(self) -> None:
        self.open()
        epochs: list[int] = []
        for _ in range(3):
            leader = self.open()
            leadership = leader.become_leader("/t/leader", b"")
            assert leadership is not None
            epochs.append(leadership.epoch)
            leader.close()
        assert epochs == sorted(set(epochs))

    def test_paths_have_leaders_of_their_own(self) -> None:
        first, second = self.open(), self.open()
        assert first.become_leader("/t/a", b"") is not None
        assert second.become_leader("/t/b", b"") is not None

    def test_a_leader_may_change_its_value(self) -> None:
        leader, reader = self.open(), self.open()
        leadership = leader.become_leader("/t/leader", b"first")
        assert leadership is not None
        leader.put("/t/leader", b"second", ephemeral=True, fence=leadership)
        self.eventually(lambda: getattr(reader.get("/t/leader"), "value", b"") == b"second", reader)
        leader.close()
        self.eventually(lambda: reader.get("/t/leader") is None, reader)

    def test_a_leader_writes_with_its_epoch(self) -> None:
        leader = self.open()
        leadership = leader.become_leader("/t/leader", b"")
        assert leader.put("/t/plan", b"1", fence=leadership) == 1
        assert leader.put("/t/plan", b"2", version=1, fence=leadership) == 2

    def test_an_earlier_leader_is_fenced(self) -> None:
        old, new = self.open(), self.open()
        before = old.become_leader("/t/leader", b"old")
        assert before is not None
        new.delete("/t/leader")
        now = new.become_leader("/t/leader", b"new")
        assert now is not None
        assert now.epoch > before.epoch
        new.put("/t/plan", b"new", fence=now)
        with pytest.raises(FencedError, match="/t/plan"):
            old.put("/t/plan", b"old", fence=before)
        assert new.get("/t/plan") == Node(b"new", 1)

    def test_a_leader_is_fenced_when_everything_was_removed(self) -> None:
        leader, other = self.open(), self.open()
        leadership = leader.become_leader("/t/leader", b"")
        other.delete("/t", recursive=True)
        with pytest.raises(FencedError):
            leader.put("/t/plan", b"", fence=leadership)
        assert other.children("/") == []
        assert other.become_leader("/t/leader", b"") is not None
        with pytest.raises(FencedError):
            leader.put("/t/plan", b"", fence=leadership)

    def test_a_leader_whose_session_ends_makes_way(self) -> None:
        old, new = self.open(), self.open()
        before = old.become_leader("/t/leader", b"old")
        assert before is not None
        self.expire(old)
        won: list[int] = []

        def took_over() -> bool:
            now = new.become_leader("/t/leader", b"new")
            won.extend([] if now is None else [now.epoch])
            return bool(won)

        self.eventually(took_over, new)
        assert won[0] > before.epoch
        with pytest.raises(FencedError):
            old.put("/t/plan", b"old", fence=before)

    # Locks.

    def test_a_lock_is_exclusive_until_released(self) -> None:
        first, second = self.open(), self.open()
        release = first.lock("/t/lock", 1.0)
        with pytest.raises(DeadlineError, match="/t/lock"):
            second.lock("/t/lock", 0.05)
        release()
        second.lock("/t/lock", DEADLINE_S)()

    def test_release_twice_frees_nothing_of_others(self) -> None:
        first, second, third = self.open(), self.open(), self.open()
        release = first.lock("/t/lock", 1.0)
        release()
        second.lock("/t/lock", DEADLINE_S)
        release()
        with pytest.raises(DeadlineError):
            third.lock("/t/lock", 0.05)

    def test_an_earlier_release_frees_no_later_lock(self) -> None:
        first, second = self.open(), self.open()
        release = first.lock("/t/lock", 1.0)
        release()
        first.lock("/t/lock", DEADLINE_S)
        release()
        with pytest.raises(DeadlineError):
            second.lock("/t/lock", 0.05)

    def test_different_locks_do_not_meet(self) -> None:
        first, second = self.open(), self.open()
        first.lock("/t/a", 1.0)
        second.lock("/t/b", DEADLINE_S)

    def test_a_lock_dies_with_its_session(self) -> None:
        first, second = self.open(), self.open()
        first.lock("/t/lock", 1.0)
        first.close()
        second.lock("/t/lock", DEADLINE_S)

    def test_a_lock_leaves_nothing(self) -> None:
        manager = self.open()
        manager.lock("/t/lock", 1.0)()
        manager.delete("/t", recursive=True)
        assert manager.children("/") == []

    # The end.

    def test_a_closed_manager_refuses_and_closes_again(self) -> None:
        manager = self.open()
        manager.put("/a", b"")
        manager.close()
        manager.close()
        with pytest.raises(StateError):
            manager.get("/a")
        with pytest.raises(StateError):
            manager.put("/a", b"")
