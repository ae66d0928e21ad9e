"""The file state manager beyond its contract: layout, damage, rights, leases, crashes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heronshim.core.plugins import node_file, node_tree
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.node_file import StoredNode
from heronshim.core.spi.state_manager import Node, SessionState
from heronshim.errors import ConfigError, DeadlineError, FencedError, StateError

LEASE_NS = 30_000_000_000


class Clock:
    """A clock that all managers of a test share."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def make(root: Path, clock: Clock) -> Iterator[Callable[[], FileStateManager]]:
    made: list[FileStateManager] = []

    def make() -> FileStateManager:
        options = {"root": str(root), "watch_interval_s": "0"}
        made.append(FileStateManager(options, now_ns=clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines that were logged, without their times."""
    return [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]


def files_of(root: Path) -> list[str]:
    """All that lies in a root but its lock file and empty folder of locks."""
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return sorted(found - {".lock", ".locks"})


# Layout.


def test_nothing_is_made_before_the_first_write(root: Path, make) -> None:
    manager = make()
    assert manager.get("/a") is None
    assert manager.children("/") == []
    manager.poll()
    assert not root.exists()


def test_files_and_folders_are_the_users_alone(root: Path, make) -> None:
    previous = os.umask(0o077)
    try:
        make().put("/a/b", b"", ephemeral=True)
    finally:
        os.umask(previous)
    modes = {path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}
    assert modes == {0o700, 0o600}
    assert (root / "a" / "b" / ".node").is_file()


def test_delete_leaves_no_folders(root: Path, make) -> None:
    manager = make()
    manager.put("/topologies/words/topology", b"")
    manager.put("/topologies/words/plan", b"")
    manager.put("/topologies/other", b"")
    manager.delete("/topologies/words", recursive=True)
    assert files_of(root) == ["topologies", "topologies/other", "topologies/other/.node"]
    manager.delete("/topologies/other")
    assert files_of(root) == []


def test_a_closed_session_leaves_nothing(root: Path, make) -> None:
    manager = make()
    manager.put("/t/ephemeral", b"", ephemeral=True)
    manager.lock("/t/lock", 1.0)
    assert len(list((root / ".sessions").iterdir())) == 1
    manager.close()
    assert files_of(root) == []


def test_what_a_crash_leaves_is_no_node_and_goes(root: Path, make) -> None:
    """Killed between the making of a folder, the writing of a file, and its renaming."""
    manager = make()
    manager.put("/a", b"")
    (root / "b").mkdir()
    (root / "c").mkdir()
    (root / "c" / ".new").write_bytes(b"HSN")
    (root / ".trash" / "d").mkdir(parents=True)
    (root / ".trash" / "d" / ".node").write_bytes(b"")
    assert manager.children("/") == ["a"]
    assert manager.get("/c") is None
    assert manager.delete("/b") is False
    assert manager.put("/c", b"whole", version=0) == 1
    assert manager.get("/c") == Node(b"whole", 1)
    manager.put("/e/f", b"")
    manager.delete("/e", recursive=True)
    manager.delete("/c")
    assert files_of(root) == ["a", "a/.node"]


# Damage.

DAMAGE = {
    "empty": b"",
    "cut": node_file.to_bytes(StoredNode(b"value", 1, 1))[:-3],
    "changed": node_file.to_bytes(StoredNode(b"value", 1, 1))[:-1] + b"x",
    "other": json.dumps({"plan": 1}).encode() * 10,
}
FUTURE = b"HSND\7\0" + b"x" * 100


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_node_is_named_and_others_work(root: Path, make, damage: str) -> None:
    manager = make()
    manager.put("/t/good", b"good")
    manager.put("/t/bad", b"value")
    file = root / "t" / "bad" / ".node"
    file.write_bytes(DAMAGE[damage])
    with pytest.raises(StateError) as caught:
        manager.get("/t/bad")
    assert str(file) in str(caught.value)
    assert str(caught.value).endswith("or delete the node and write it again")
    with pytest.raises(StateError, match="bad"):
        manager.put("/t/bad", b"", version=1)
    assert manager.get("/t/good") == Node(b"good", 1)
    assert manager.children("/t") == ["bad", "good"]
    assert manager.put("/t/good", b"better") == 2


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_node_can_be_written_or_deleted(root: Path, make, damage: str) -> None:
    """So that a TMaster that writes its plan again heals it, and never crashes in a loop."""
    manager = make()
    for path in ("/t/a", "/t/b", "/t/c/d"):
        manager.put(path, b"value")
        (root / path[1:] / ".node").write_bytes(DAMAGE[damage])
    assert manager.put("/t/a", b"new") == 1
    assert manager.get("/t/a") == Node(b"new", 1)
    assert manager.delete("/t/b") is True
    assert manager.delete("/t", recursive=True) is True
    assert files_of(root) == []


def test_a_node_of_a_newer_version_is_not_overwritten(root: Path, make) -> None:
    manager = make()
    manager.put("/t/a", b"value")
    file = root / "t" / "a" / ".node"
    file.write_bytes(FUTURE)
    with pytest.raises(StateError) as caught:
        manager.put("/t/a", b"new")
    assert str(caught.value) == (
        f"state file {file} has format 7, this version reads up to 1; upgrade heronshim, or "
        "restore the file from a backup"
    )
    assert file.read_bytes() == FUTURE
    assert manager.delete("/t/a") is True


def test_watchers_keep_the_last_node_while_it_is_damaged(root: Path, make, capsys) -> None:
    manager = make()
    seen: list[Node | None] = []
    other: list[Node | None] = []
    manager.put("/t/a", b"good")
    manager.watch("/t/a", seen.append)
    manager.watch("/t/b", other.append)
    manager.poll()
    (root / "t" / "a" / ".node").write_bytes(b"")
    manager.put("/t/b", b"other")
    manager.poll()
    manager.poll()
    assert seen == [Node(b"good", 1)]
    assert other == [None, Node(b"other", 1)]
    assert logged(capsys) == [
        'WARNING event=state_node_damaged cause="state file '
        f"{root}/t/a/.node is empty; restore the file from a backup, or delete the node and "
        'write it again"'
    ]
    assert manager.session() == SessionState.CONNECTED
    manager.put("/t/a", b"healed")
    manager.poll()
    assert seen == [Node(b"good", 1), Node(b"healed", 1)]


def test_a_leader_takes_a_damaged_node_but_guesses_no_epoch(root: Path, make) -> None:
    manager = make()
    first = make()
    assert first.become_leader("/t/leader", b"first") is not None
    (root / "t" / "leader" / ".node").write_bytes(b"")
    second = manager.become_leader("/t/leader", b"second")
    assert second is not None
    assert second.epoch == 2
    manager.delete("/t/leader")
    (root / "t" / "leader.epoch" / ".node").write_bytes(b"")
    with pytest.raises(StateError, match=r"leader\.epoch/\.node is empty"):
        manager.become_leader("/t/leader", b"third")
    manager.put("/t/leader.epoch", b"many")
    with pytest.raises(StateError) as caught:
        manager.become_leader("/t/leader", b"third")
    assert str(caught.value) == (
        "state node /t/leader.epoch holds no number; delete it, then restart its leader"
    )


def test_a_damaged_session_is_over(root: Path, make) -> None:
    owner, reader = make(), make()
    owner.put("/t/a", b"", ephemeral=True)
    (session,) = (root / ".sessions").iterdir()
    session.write_bytes(b"garbage")
    assert reader.get("/t/a") is None
    reader.poll()
    assert files_of(root) == []
    owner.poll()
    assert owner.session() == SessionState.LOST


def test_a_damaged_lock_can_be_taken(root: Path, make) -> None:
    first, second = make(), make()
    first.lock("/t/lock", 1.0)
    (file,) = (root / ".locks").rglob(".node")
    file.write_bytes(b"")
    second.lock("/t/lock", 1.0)()


# Rights, space and other troubles of the disk.

TROUBLES = {
    errno.EACCES: "Permission denied; give your user the right to read and write it",
    errno.EROFS: "Read-only file system; mount the file system for writing",
    errno.ENOSPC: "No space left on device; free some space on the disk",
    errno.EDQUOT: "Disk quota exceeded; free some space or raise the quota",
    errno.EMFILE: "Too many open files; raise the limit of open files (ulimit -n)",
    errno.EIO: "Input/output error; look at the disk and its log",
}


def refuse_opening(monkeypatch: pytest.MonkeyPatch, number: int, ending: str) -> None:
    """Let the system refuse to open files whose names end so."""
    real = os.open

    def refuse(path, flags, *arguments, **named) -> int:
        if str(path).endswith(ending):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("number", TROUBLES)
def test_a_refused_write_says_what_to_do_and_changes_nothing(
    root: Path, make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    manager = make()
    manager.put("/t/a", b"old")
    with monkeypatch.context() as patched:
        refuse_opening(patched, number, ".new")
        for path in ("/t/a", "/t/b/c"):
            with pytest.raises(StateError) as caught:
                manager.put(path, b"new")
            assert str(caught.value) == f"state file {root}{path}/.new: {TROUBLES[number]}"
    assert manager.get("/t/a") == Node(b"old", 1)
    assert files_of(root) == ["t", "t/a", "t/a/.node"]


def test_a_disk_that_fills_up_while_writing_leaves_the_old_node(
    root: Path, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make()
    manager.put("/t/a", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="No space left on device; free some space"):
            manager.put("/t/a", b"new")
    assert manager.get("/t/a") == Node(b"old", 1)
    assert files_of(root) == ["t", "t/a", "t/a/.node"]


def test_a_refused_read_says_what_to_do(make, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = make()
    manager.put("/t/a", b"")
    refuse_opening(monkeypatch, errno.EACCES, ".node")
    with pytest.raises(StateError, match=r"t/a/\.node: Permission denied; give your user"):
        manager.get("/t/a")


def test_an_unreadable_store_suspends_the_session_until_it_is_back(
    make, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    manager = make()
    states: list[SessionState] = []
    seen: list[Node | None] = []
    manager.on_session(states.append)
    manager.put("/t/a", b"value")
    manager.watch("/t/a", seen.append)
    with monkeypatch.context() as patched:
        refuse_opening(patched, errno.EIO, ".node")
        manager.poll()
        manager.poll()
    assert states == [SessionState.SUSPENDED]
    assert [line.split()[1] for line in logged(capsys)] == ["event=state_store_unreadable"]
    manager.poll()
    assert states == [SessionState.SUSPENDED, SessionState.CONNECTED]
    assert seen == [Node(b"value", 1)]


def test_a_lease_that_cannot_be_renewed_suspends_and_then_ends_the_session(
    make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make()
    states: list[SessionState] = []
    manager.on_session(states.append)
    manager.put("/t/a", b"", ephemeral=True)

    def full(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        clock.now_ns += LEASE_NS // 2
        manager.poll()
        assert states == [SessionState.SUSPENDED]
        clock.now_ns += LEASE_NS
        manager.poll()
    assert states == [SessionState.SUSPENDED, SessionState.LOST]
    manager.poll()
    assert states[-1] == SessionState.CONNECTED
    assert manager.get("/t/a") is None


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("")
    with pytest.raises(StateError) as caught:
        FileStateManager({"root": str(file)})
    assert str(caught.value) == f"state root {file} is no folder; choose another or remove it"


def test_a_root_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(StateError) as caught:
        FileStateManager({"root": str(tmp_path)})
    assert str(caught.value) == (
        f"state root {tmp_path} can be written by others; run: chmod go-w {tmp_path}"
    )


def test_a_root_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="Not a directory"):
        FileStateManager({"root": str(tmp_path / "file" / "state")})


def test_a_link_out_of_the_tree_is_not_followed(root: Path, make, tmp_path: Path) -> None:
    manager = make()
    manager.put("/t/a", b"")
    outside = tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    (outside / "x" / ".node").write_bytes(node_file.to_bytes(StoredNode(b"", 1, 1)))
    (root / "t" / "link").symlink_to(outside)
    assert manager.children("/t") == ["a"]
    manager.delete("/t", recursive=True)
    assert (outside / "x" / ".node").exists()


def test_a_stopped_process_in_the_store_is_an_error_not_a_hang(
    root: Path, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make()
    manager.put("/t/a", b"value")
    monkeypatch.setattr(node_tree, "LOCK_WAIT_S", 0.05)
    with (root / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StateError) as caught:
            manager.put("/t/a", b"new")
        assert manager.get("/t/a") == Node(b"value", 1)
    lock = root / ".lock"
    assert str(caught.value) == (
        f"lock file {lock} was held by another process for 0.05 s; "
        f"look for a stopped process with: fuser {lock}"
    )
    assert manager.put("/t/a", b"new") == 2


def test_a_removed_root_ends_the_session_and_is_made_again(root: Path, make) -> None:
    manager = make()
    manager.put("/t/a", b"", ephemeral=True)
    shutil.rmtree(root)
    manager.poll()
    assert manager.session() == SessionState.LOST
    with pytest.raises(StateError, match="poll the state manager"):
        manager.put("/t/a", b"", ephemeral=True)
    manager.poll()
    assert manager.put("/t/a", b"", ephemeral=True) == 1


# Options.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'state manager "file": option "root" is missing; set it to a folder'),
        (
            {"rot": "/tmp"},
            'state manager "file": unknown option "rot". Did you mean "root"? '
            "Known: lease_s, root, watch_interval_s",
        ),
        (
            {"root": "/tmp/x", "lease_s": "0"},
            'state manager "file": option "lease_s" must be seconds from 0.1 to 3600, not "0"',
        ),
        (
            {"root": "/tmp/x", "lease_s": "nan"},
            'state manager "file": option "lease_s" must be seconds from 0.1 to 3600, not "nan"',
        ),
        (
            {"root": "/tmp/x", "watch_interval_s": "often"},
            'state manager "file": option "watch_interval_s" must be seconds from 0 to 60, '
            'not "often"',
        ),
    ],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FileStateManager(options)
    assert str(caught.value) == message


# Leases.


def test_a_lease_is_renewed_in_poll(make, clock: Clock) -> None:
    owner, reader = make(), make()
    owner.put("/t/a", b"", ephemeral=True)
    for _ in range(10):
        clock.now_ns += LEASE_NS // 2
        owner.poll()
        assert reader.get("/t/a") is not None
    assert owner.session() == SessionState.CONNECTED


def test_a_session_that_does_not_poll_ends_with_its_lease(root: Path, make, clock: Clock) -> None:
    owner, reader = make(), make()
    leadership = owner.become_leader("/t/leader", b"old")
    owner.lock("/t/lock", 1.0)
    assert leadership is not None
    clock.now_ns += LEASE_NS
    assert reader.become_leader("/t/leader", b"new") is None
    clock.now_ns += 1
    assert reader.get("/t/leader") is None
    assert reader.children("/t") == ["leader.epoch"]
    reader.lock("/t/lock", 0.05)()
    following = reader.become_leader("/t/leader", b"new")
    assert following is not None
    assert following.epoch == leadership.epoch + 1
    with pytest.raises(FencedError) as caught:
        owner.put("/t/plan", b"late", fence=leadership)
    assert str(caught.value) == (
        "write of /t/plan refused: it carries leader epoch 1 of /t/leader, the present one is 2"
    )
    with pytest.raises(StateError, match="not renewed for 30 s"):
        owner.put("/t/b", b"", ephemeral=True)


def test_an_ended_session_does_not_take_its_successors_nodes(make, clock: Clock) -> None:
    owner, successor = make(), make()
    owner.put("/t/a", b"old", ephemeral=True)
    release = owner.lock("/t/lock", 1.0)
    clock.now_ns += 2 * LEASE_NS
    successor.put("/t/a", b"new", ephemeral=True, version=0)
    successor.lock("/t/lock", 1.0)
    release()
    owner.poll()
    owner.close()
    assert successor.get("/t/a") == Node(b"new", 1)
    with pytest.raises(DeadlineError):
        make().lock("/t/lock", 0.05)


def test_poll_removes_what_dead_sessions_left(root: Path, make, clock: Clock) -> None:
    owner, other = make(), make()
    owner.put("/t/a", b"", ephemeral=True)
    owner.lock("/t/lock", 1.0)
    other.put("/t/b", b"", ephemeral=True)
    clock.now_ns += LEASE_NS * 3 // 4
    other.poll()
    clock.now_ns += LEASE_NS * 3 // 4
    other.poll()
    assert len(list((root / ".sessions").iterdir())) == 1
    assert [name for name in files_of(root) if name.startswith("t")] == ["t", "t/b", "t/b/.node"]


def test_waiting_for_a_lock_keeps_the_session(
    make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiting = make(), make()
    waiting.put("/t/a", b"", ephemeral=True)
    holder.lock("/t/lock", 1.0)

    def sleep(_: float) -> None:
        clock.now_ns += LEASE_NS // 2
        holder.poll()

    monkeypatch.setattr("heronshim.core.plugins.file_state.time.sleep", sleep)
    with pytest.raises(DeadlineError) as caught:
        waiting.lock("/t/lock", 0.2)
    assert str(caught.value) == "lock /t/lock was held by another session for 0.2 s; try again"
    assert holder.get("/t/a") is not None
