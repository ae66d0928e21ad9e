"""The file of a state node: what is written comes back, what is damaged is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.plugins import node_file
from heronshim.core.plugins.node_file import DamagedNodeError, FutureNodeError, StoredNode
from heronshim.errors import StateError

FILE = Path("/state/a/.node")
NODE = StoredNode(b"value", 3, 7, 9)
CONTENT = node_file.to_bytes(NODE)
ADVICE = "; restore the file from a backup, or delete the node and write it again"


@given(
    st.binary(max_size=200),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
def test_a_node_comes_back(value: bytes, version: int, creation: int, owner: int) -> None:
    node = StoredNode(value, version, creation, owner)
    content = node_file.to_bytes(node)
    assert node_file.from_bytes(content, FILE) == node
    assert node_file.owner_of(content[: node_file.HEADER_BYTES]) == owner


def test_the_bytes_of_format_1_stay() -> None:
    """Files outlive the version that wrote them."""
    assert CONTENT.hex() == (
        "48534e4401000000030000000000000007000000000000000900000000000000"
        "050000003458771d55d75e9476616c7565"
    )


GOLDEN = {
    "empty": (b"", "is empty" + ADVICE),
    "cut in the magic": (b"HS", "is cut: 2 bytes, its header alone has 44" + ADVICE),
    "cut in the header": (CONTENT[:43], "is cut: 43 bytes, its header alone has 44" + ADVICE),
    "cut in the value": (
        CONTENT[:-1],
        "is cut or extended: its value has 4 bytes, 5 were written" + ADVICE,
    ),
    "extended": (
        CONTENT + b"x",
        "is cut or extended: its value has 6 bytes, 5 were written" + ADVICE,
    ),
    "other file": (b"{}" * 30, "is no state file: it does not begin with HSND" + ADVICE),
    "zeroes": (bytes(60), "is no state file: it does not begin with HSND" + ADVICE),
    "header": (
        CONTENT[:8] + b"\xff" + CONTENT[9:],
        "is damaged: the checksum of its header is wrong" + ADVICE,
    ),
    "value": (
        CONTENT[:-1] + b"x",
        "is damaged: the checksum of its value is wrong" + ADVICE,
    ),
    "version zero": (
        node_file.to_bytes(StoredNode(b"", 0, 1)),
        "is damaged: its header is wrong" + ADVICE,
    ),
    "future": (
        CONTENT[:4] + b"\2\0" + CONTENT[6:],
        "has format 2, this version reads up to 1; upgrade heronshim, or restore the file "
        "from a backup",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_messages(name: str) -> None:
    content, message = GOLDEN[name]
    with pytest.raises(StateError) as caught:
        node_file.from_bytes(content, FILE)
    assert str(caught.value) == f"state file /state/a/.node {message}"
    assert isinstance(caught.value, FutureNodeError if name == "future" else DamagedNodeError)


def test_every_cut_is_noticed() -> None:
    for length in range(len(CONTENT)):
        with pytest.raises(DamagedNodeError):
            node_file.from_bytes(CONTENT[:length], FILE)


def test_every_changed_bit_is_noticed() -> None:
    for position in range(len(CONTENT) * 8):
        changed = bytearray(CONTENT)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(StateError):
            node_file.from_bytes(bytes(changed), FILE)


def test_a_changed_header_names_no_owner() -> None:
    """Or the clean-up of dead sessions would remove a persistent node with a flipped bit."""
    persistent = node_file.to_bytes(StoredNode(b"value", 1, 7))[: node_file.HEADER_BYTES]
    for position in range(len(persistent) * 8):
        changed = bytearray(persistent)
        changed[position // 8] ^= 1 << position % 8
        assert node_file.owner_of(bytes(changed)) == 0


@given(st.binary(max_size=120))
def test_any_bytes_give_a_node_or_a_state_error(content: bytes) -> None:
    for each in (content, b"HSND\1\0" + content):
        node_file.owner_of(each)
        with pytest.raises(StateError, match=r"^state file /state/a/\.node "):
            node_file.from_bytes(each, FILE)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "link to nothing", "device"])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ".node"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file = Path("/dev/zero")
    else:
        target = tmp_path / "target"
        if kind == "link":
            target.write_bytes(CONTENT)
        file.symlink_to(target)
    with pytest.raises(DamagedNodeError) as caught:
        node_file.read(file)
    assert str(caught.value) == f"state file {file} is no regular file; remove it"
