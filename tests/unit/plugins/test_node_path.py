"""Paths of state nodes and the file names of their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.plugins import node_path
from heronshim.errors import StateError

PARTS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40
).filter(lambda part: part not in {".", ".."})
EXAMPLE = "; a path looks like /topologies/words/plan"


@given(st.lists(PARTS, min_size=1, max_size=5))
def test_split_and_join_are_inverse(parts: list[str]) -> None:
    assert node_path.split(node_path.join(tuple(parts))) == tuple(parts)


@given(PARTS)
def test_a_file_name_stands_for_one_part_and_is_harmless(part: str) -> None:
    name = node_path.escape(part)
    assert node_path.unescape(name) == part
    assert not name.startswith(".")
    assert "/" not in name
    assert all(character >= " " and character != "\x7f" for character in name)


def test_the_root_has_no_parts_and_no_value() -> None:
    assert node_path.split("/") == ()
    with pytest.raises(StateError, match=r"^state path / is the root and holds no value"):
        node_path.node_parts("/")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "state path '' does not begin with \"/\""),
        ("a/b", "state path 'a/b' does not begin with \"/\""),
        ("/a//b", "state path '/a//b' has an empty part"),
        ("/a/", "state path '/a/' has an empty part"),
        ("/a/../b", "state path '/a/../b' has the part \"..\""),
        ("/.", "state path '/.' has the part \".\""),
        ("/a\0b", "state path '/a\\x00b' has a zero byte"),
        ("/a\ud800", "state path '/a\\ud800' is not valid Unicode"),
        (
            "/" + "ü" * 101,
            f"state path '/{chr(92)}xfc"
            + "\\xfc" * 98
            + "...' has a part of 202 bytes, at most 200 are allowed",
        ),
        ("/a" * 17, f"state path '{'/a' * 17}' has 17 parts, at most 16 are allowed"),
    ],
)
def test_golden_messages(path: str, message: str) -> None:
    with pytest.raises(StateError) as caught:
        node_path.split(path)
    assert str(caught.value) == message + EXAMPLE


def test_a_value_has_a_limit() -> None:
    node_path.check_value("/a", bytes(node_path.VALUE_BYTES_MAX))
    with pytest.raises(
        StateError, match=r"^value of state node /a has 16777217 bytes, at most 167"
    ):
        node_path.check_value("/a", bytes(node_path.VALUE_BYTES_MAX + 1))
