"""Vectors of tuple trees: what settles when, and which edges a bolt writes."""

from __future__ import annotations

from functools import reduce
from operator import xor
from random import Random
from typing import Any

ACK, FAIL, RESET = 0, 1, 2
ABOUT = (
    "sequences: `open` a tree with the edges of its copies, or take one frame of `outcomes` "
    "[kind 0 ack | 1 fail | 2 reset-timeout, root, XOR]; after each step `acked` and `failed` "
    "name the roots that settle and `stale` counts entries of trees that are not open. "
    "emits: a bolt takes `inputs` (pairs [root, edge] of one row each), emits to `copies` tasks "
    "with anchors (indexes of inputs), drawing `draws` in their order, then acks all inputs; "
    "`rows` are the pairs of each copy, `acks` the outcomes [root, XOR] of each input."
)


def word(number: int) -> str:
    """Return 64 bits as hex, most significant digit first."""
    return f"{number:016x}"


def root(task: int, tag: int, slot: int) -> int:
    """Return task (16 bits) | tag (24) | slot (24)."""
    return task << 48 | tag << 24 | slot


class _Trees:
    """Storm's acker with a dictionary: the arithmetic and nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._values: dict[int, int] = {}
        self._steps: list[dict[str, Any]] = []

    def open(self, tree: int, *edges: int) -> _Trees:
        assert tree not in self._values
        self._values[tree] = reduce(xor, edges)
        return self._add({"open": word(tree), "edges": [word(edge) for edge in edges]})

    def outcomes(self, *entries: tuple[int, int, int]) -> _Trees:
        acked, failed, stale = [], [], 0
        for kind, tree, change in entries:
            if tree not in self._values:
                stale += 1
            elif kind == FAIL:
                failed.append(tree)
                del self._values[tree]
            elif kind == ACK:
                self._values[tree] ^= change
                if not self._values[tree]:
                    acked.append(tree)
                    del self._values[tree]
        shown = [[kind, word(tree), word(change)] for kind, tree, change in entries]
        return self._add({"outcomes": shown}, acked, failed, stale)

    def acks(self, tree: int, *changes: int) -> _Trees:
        for change in changes:
            self.outcomes((ACK, tree, change))
        return self

    def vector(self, settled: int) -> dict[str, Any]:
        """Return the vector; `settled` trees must have settled, as its author meant."""
        assert settled == sum(len(s["acked"]) + len(s["failed"]) for s in self._steps), self._name
        still = [word(tree) for tree in self._values]
        return {"name": self._name, "steps": self._steps, "still_open": still}

    def _add(
        self, step: dict[str, Any], acked: Any = (), failed: Any = (), stale: int = 0
    ) -> _Trees:
        step["acked"] = [word(tree) for tree in acked]
        step["failed"] = [word(tree) for tree in failed]
        step["stale"] = stale
        self._steps.append(step)
        return self


def trees() -> dict[str, Any]:
    """Return trees.json."""
    rng = Random(20)
    return {
        "about": ABOUT,
        "sequences": [*_settling(rng), *_anchoring(rng), *_failing(rng), *_stale(rng)],
        "emits": _emits(rng),
    }


def _draw(rng: Random, count: int) -> list[int]:
    return [rng.getrandbits(64) | 1 for _ in range(count)]


def _settling(rng: Random) -> list[dict[str, Any]]:
    one, other = root(1, 0xABCDEF, 0), root(2, 0x000001, 0xFFFFFF)
    a, b, c, d, e = _draw(rng, 5)
    return [
        _Trees("one copy").open(one, a).acks(one, a).vector(1),
        _Trees("three copies").open(one, a, b, c).acks(one, c, a, b).vector(1),
        _Trees("chain").open(one, a).acks(one, a ^ b, b ^ c, c).vector(1),
        _Trees("a child's ack overtakes its parent's").open(one, a).acks(one, b, a ^ b).vector(1),
        _Trees("branching").open(one, a).acks(one, a ^ b ^ c, c, b).vector(1),
        _Trees("diamond").open(one, a, b).acks(one, c, b ^ d, a ^ c, d).vector(1),
        _Trees("a bolt sends to itself").open(one, a).acks(one, a ^ b, b ^ c, c ^ d, d).vector(1),
        _Trees("combined by the bolt before it is sent").open(one, a).acks(one, a ^ b ^ b ^ c)
        .acks(one, c).vector(1),
        _Trees("two trees in one frame").open(one, a).open(other, b)
        .outcomes((ACK, other, b), (ACK, one, a)).vector(2),
        _Trees("one root twice in one frame").open(one, a, b)
        .outcomes((ACK, one, a), (ACK, one, b)).vector(1),
        _Trees("a lost copy leaves the tree open").open(one, d, e).acks(one, d).vector(0),
    ]  # fmt: skip


def _anchoring(rng: Random) -> list[dict[str, Any]]:
    one, two = root(1, 7, 3), root(4, 9, 3)
    a, b, c, d, e, f = _draw(rng, 6)
    return [
        _Trees("a join of two tuples of one root: an edge for each anchor").open(one, a, b)
        .acks(one, a ^ c, b ^ d, c ^ d).vector(1),
        _Trees("wrong: one edge for both anchors completes while the joined tuple is on its way")
        .open(one, a, b).acks(one, a ^ c, b ^ c).vector(1),
        _Trees("one tuple anchored twice").open(one, a).acks(one, a ^ c ^ d, c ^ d).vector(1),
        _Trees("three anchors over two roots").open(one, a, b).open(two, c)
        .outcomes((ACK, one, a ^ d), (ACK, one, b ^ e), (ACK, two, c ^ f))
        .outcomes((ACK, one, d ^ e), (ACK, two, f)).vector(2),
        _Trees("a join of tuples of two spouts").open(one, a).open(two, b)
        .acks(one, a ^ c).acks(two, b ^ d, d).acks(one, c).vector(2),
    ]  # fmt: skip


def _failing(rng: Random) -> list[dict[str, Any]]:
    one, two, three = root(1, 5, 1), root(1, 5, 2), root(1, 5, 3)
    a, b, c = _draw(rng, 3)
    return [
        _Trees("fail").open(one, a, b).outcomes((FAIL, one, 0)).vector(1),
        _Trees("an ack after the fail is stale").open(one, a, b).outcomes((FAIL, one, 0))
        .acks(one, a, b).vector(1),
        _Trees("two fails of one tree in one frame").open(one, a, b)
        .outcomes((FAIL, one, 0), (ACK, two, b)).outcomes((FAIL, one, 0)).vector(1),
        _Trees("reset-timeout settles nothing").open(one, a).outcomes((RESET, one, 0))
        .acks(one, a).vector(1),
        _Trees("all kinds in one frame").open(one, a).open(two, b).open(three, c)
        .outcomes((ACK, one, a), (FAIL, two, 0), (RESET, three, 0), (ACK, three, c)).vector(3),
    ]  # fmt: skip


def _stale(rng: Random) -> list[dict[str, Any]]:
    one, reused, unknown = root(1, 0xFFFFFF, 6), root(1, 0, 6), root(1, 0, 0xFFFFFE)
    a, b = _draw(rng, 2)
    return [
        _Trees("never opened").open(one, a).acks(unknown, a).vector(0),
        _Trees("acked twice").open(one, a).acks(one, a, a).vector(1),
        _Trees("the slot's next tree has another tag, 0 after ffffff").open(one, a).acks(one, a)
        .open(reused, b).acks(one, b).acks(reused, b).vector(2),
    ]  # fmt: skip


def _emits(rng: Random) -> list[dict[str, Any]]:
    one, two = root(1, 11, 0), root(2, 12, 0)
    a, b, c, d = _draw(rng, 4)
    cases = [
        ("not anchored", [[(one, a)]], [([], 1)]),
        ("input without a tree", [[]], [([0], 1)]),
        ("one anchor, one copy", [[(one, a)]], [([0], 1)]),
        ("one anchor, two copies: an edge for each", [[(one, a)]], [([0], 2)]),
        ("two emits for one input", [[(one, a)]], [([0], 1), ([0], 1)]),
        ("two anchors of one root", [[(one, a)], [(one, b)]], [([0, 1], 1)]),
        ("two anchors of one root, two copies", [[(one, a)], [(one, b)]], [([0, 1], 2)]),
        ("one tuple anchored twice", [[(one, a)]], [([0, 0], 1)]),
        ("two anchors of two roots", [[(one, a)], [(two, b)]], [([0, 1], 1)]),
        ("three anchors over two roots", [[(one, a)], [(one, b)], [(two, c)]], [([0, 1, 2], 1)]),
        ("an anchor with two roots", [[(one, a), (two, b)]], [([0], 2)]),
        ("anchors that share one root", [[(one, a), (two, b)], [(two, c)]], [([0, 1], 1)]),
        ("an anchor without a tree beside one with", [[], [(two, d)]], [([0, 1], 1)]),
    ]  # fmt: skip
    return [_emit(rng, *case) for case in cases]


def _emit(
    rng: Random,
    name: str,
    inputs: list[list[tuple[int, int]]],
    emits: list[tuple[list[int], int]],
) -> dict[str, Any]:
    """Apply the rule: one fresh edge for each copy and anchor that has a tree."""
    children = [0] * len(inputs)
    draws: list[int] = []
    rows: list[list[list[str]]] = []
    for anchors, copies in emits:
        for _ in range(copies):
            pairs: dict[int, int] = {}
            for anchor in anchors:
                if not inputs[anchor]:
                    continue
                edge = rng.getrandbits(64) | 1
                draws.append(edge)
                children[anchor] ^= edge
                for tree, _ in inputs[anchor]:
                    pairs[tree] = pairs.get(tree, 0) ^ edge
            rows.append([[word(tree), word(edge)] for tree, edge in pairs.items()])
    acks = [
        [[word(tree), word(edge ^ children[index])] for tree, edge in pairs]
        for index, pairs in enumerate(inputs)
    ]
    return {
        "name": name,
        "inputs": [[[word(tree), word(edge)] for tree, edge in pairs] for pairs in inputs],
        "emits": [{"anchors": anchors, "copies": copies} for anchors, copies in emits],
        "draws": [word(edge) for edge in draws],
        "rows": rows,
        "acks": acks,
    }
