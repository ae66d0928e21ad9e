"""The native module against its twins in Python: values, errors, memory, threads.

All other tests run over either (`make test` does both); these compare the two side by side.
"""

from __future__ import annotations

import copy
import gc
import inspect
import os
import pickle
import subprocess
import sys
import sysconfig
import threading
import tracemalloc
from collections.abc import Callable
from itertools import count, repeat
from operator import length_hint
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heronshim import native
from heronshim.api.tuple import PurePythonTuple, Source, Tuple
from heronshim.core.codec.data import decode_batch, encode_batch, open_batch, pack_rows
from heronshim.errors import RemoteProtocolError
from heronshim.instance.outbox import edge_source

ROOT = Path(__file__).parents[3]
ROUNDS = 3000


def buildable() -> bool:
    """Whether an install here builds the module."""
    compiler = os.environ.get("CC", "cc").split()[0]
    found = subprocess.run(["which", compiler], check=False, capture_output=True)
    return found.returncode == 0 and Path(sysconfig.get_path("include"), "Python.h").is_file()


def test_module_is_there_where_it_can_be_built_and_is_wanted():
    wanted = os.environ.get("HERONSHIM_NATIVE", "1") != "0"
    assert (native.MODULE is not None) == (wanted and buildable()), "type: make setup"


def test_environment_chooses_the_twins():
    code = "import heronshim.native as n, heronshim.api.tuple as t; "
    code += "print(n.MODULE, t.Tuple is t.PurePythonTuple)"
    for wanted in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "HERONSHIM_NATIVE": wanted},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        pure = wanted == "0" or not buildable()
        assert done.stdout.startswith("None" if pure else "<module")
        assert done.stdout.endswith(f"{pure}\n")


if native.MODULE is None:
    pytest.skip("the twins run alone here", allow_module_level=True)

NATIVE = native.MODULE
TEXTS = st.text(max_size=12) | st.sampled_from(["a", "word", "x" * 64, "y" * 65, "é" * 20])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=18)
        | st.dictionaries(TEXTS, inner, max_size=2)
        | st.builds(msgspec.msgpack.Ext, st.integers(0, 127), st.binary(max_size=3))
    ),
    max_leaves=12,
)
ROWS = st.lists(st.lists(VALUES, max_size=18), max_size=20)


def source() -> Source:
    return Source("line", 3, "default", ("word", "count"))


def typed(value: object) -> Any:
    """Return a value with its types: 1, True and 1.0 are equal."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), value


class TestRows:
    @given(ROWS)
    def test_rows_are_what_msgspec_reads(self, rows):
        blob = pack_rows(rows)
        packed = NATIVE.packed_rows(blob)
        expected = msgspec.msgpack.decode(blob)
        if packed is None:
            assert b"\x81" in blob or any(isinstance(v, (dict, msgspec.msgpack.Ext, list))
                                          for row in rows for v in row)  # fmt: skip
            return
        assert len(packed) == len(rows)
        assert typed(list(packed)) == typed(expected)
        tuples = list(packed.tuples(source()))
        assert typed([tup.values for tup in tuples]) == typed(expected)
        assert [tup._row for tup in tuples] == list(range(len(rows)))

    @given(ROWS, st.data())
    @example([["a" * 40]], None)
    def test_damaged_rows_are_refused_as_without_the_module(self, rows, data):
        blob = bytearray(pack_rows(rows))
        if data is None:
            blob[5] = 0xFF
        else:
            for _ in range(data.draw(st.integers(1, 3))):
                blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
            blob = blob[: data.draw(st.integers(0, len(blob)))] + data.draw(st.binary(max_size=2))
        payload = encode_batch("c", "s", max(1, len(rows)), bytes(blob), b"", b"", b"")
        answers: list[object] = []
        # Encoded again: a NaN equals no NaN, and an extension is shown by its address.
        encode = msgspec.msgpack.encode
        for read in (decode_batch, open_batch):
            try:
                answers.append(encode(list(read(payload)[1])))
            except RemoteProtocolError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]

    @given(st.binary(max_size=40))
    def test_any_bytes_are_read_as_msgspec_does_or_left_to_it(self, blob):
        packed, encode = NATIVE.packed_rows(blob), msgspec.msgpack.encode
        if packed is not None:
            expected = msgspec.msgpack.decode(blob, type=list[list[Any]])
            assert encode(list(packed)) == encode(expected)

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
    @pytest.mark.parametrize("make", [lambda n: "x" * n, lambda n: b"x" * n, lambda n: [1] * n])
    def test_every_length_has_its_form(self, size, make):
        rows = [[make(size)], [make(size), "after"]]
        assert list(NATIVE.packed_rows(pack_rows(rows))) == rows
        many = [["w"]] * max(1, size)
        assert list(NATIVE.packed_rows(pack_rows(many))) == many

    @pytest.mark.parametrize(
        "number",
        [side * (1 << bits) + more for bits in (5, 7, 8, 15, 16, 31, 32, 63) for side in (1, -1)
         for more in (-1, 0, 1) if side * (1 << bits) + more >= -(1 << 63)],
    )  # fmt: skip
    def test_every_width_of_numbers_has_its_form(self, number):
        assert list(NATIVE.packed_rows(pack_rows([[number, -0.0]]))) == [[number, -0.0]]

    def test_float_of_32_bits(self):
        assert list(NATIVE.packed_rows(b"\x91\x91\xca\x3f\xc0\x00\x00")) == [[1.5]]

    def test_texts_are_right_whether_remembered_or_not(self):
        random = Random(1)
        words = [f"w{random.randrange(100_000)}" for _ in range(150_000)]
        words += [f"w{random.randrange(50)}" for _ in range(100_000)]
        for start in range(0, len(words), 5000):
            rows = [[word] for word in words[start : start + 5000]]
            assert list(NATIVE.packed_rows(pack_rows(rows))) == rows

    def test_rows_are_lists_of_their_own(self):
        packed = NATIVE.packed_rows(pack_rows([[["a"]], [["a"]]]))
        first, second = packed
        first[0].append("b")
        assert second == [["a"]]
        assert list(packed) == [[["a"]], [["a"]]]

    def test_hint_counts_rows_not_begun(self):
        tuples = NATIVE.packed_rows(pack_rows([["a"], ["b"]])).tuples(source())
        hints = [length_hint(tuples)]
        hints += [length_hint(tuples) for _ in tuples]
        assert hints == [2, 1, 0]
        assert tuples.in_hand == ["b"]

    @pytest.mark.parametrize("wrong", ["text", None, bytearray(b"\x91\x90"), 1])
    def test_only_bytes_are_read(self, wrong):
        with pytest.raises(TypeError):
            NATIVE.packed_rows(wrong)


class TestExecute:
    def run(self, execute: Any, limit: int = 9, task: Any = None) -> Any:
        tuples = NATIVE.packed_rows(pack_rows([["a"], ["b"], ["c"]])).tuples(source())
        NATIVE.execute_rows(execute, tuples, limit, task)
        return tuples

    def test_calls_for_each_row_up_to_a_limit(self):
        got: list[Any] = []
        tuples = self.run(lambda tup: got.append(tup.values), 2)
        assert got == [["a"], ["b"]]
        assert length_hint(tuples) == 1

    def test_sets_the_tuple_in_hand(self):
        class Task:
            current: Any = None

        task = Task()
        seen: list[Any] = []
        self.run(lambda tup: seen.append(task.current is tup), task=task)
        assert seen == [True] * 3

    @pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt, SystemExit])
    def test_what_execute_raises_comes_out_and_the_row_is_known(self, error):
        def execute(tup: Tuple) -> None:
            if tup[0] == "b":
                raise error(tup[0])

        tuples = NATIVE.packed_rows(pack_rows([["a"], ["b"], ["c"]])).tuples(source())
        with pytest.raises(error, match="b"):
            NATIVE.execute_rows(execute, tuples, 9, None)
        assert (length_hint(tuples), tuples.in_hand) == (1, ["b"])
        assert [tup.values for tup in tuples] == [["c"]]

    def test_a_task_without_the_attribute_is_an_error(self):
        with pytest.raises(AttributeError):
            self.run(print, task=object())


class TestTuple:
    @pytest.fixture(params=[Tuple, PurePythonTuple])
    def kind(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_same_face(self, kind):
        tup = kind(["heron", 2], source(), 5)
        assert (tup[0], tup[-1], tup["count"], list(tup), len(tup)) == (
            "heron",
            2,
            2,
            ["heron", 2],
            2,
        )
        assert (tup.component, tup.task, tup.stream, tup.is_tick) == ("line", 3, "default", False)
        assert (tup.fields, tup._row, tup.select(["count", "word"])) == (
            ("word", "count"),
            5,
            [2, "heron"],
        )
        assert repr(tup) == "Tuple(['heron', 2], line:default task 3)"
        assert kind(["heron", 2], _source=source())._row == 0
        assert type(tup).__name__ == "Tuple"
        assert type(tup).__doc__ == PurePythonTuple.__doc__

    def test_equal_is_the_same_object(self, kind):
        one, other = kind(["a"], source()), kind(["a"], source())
        assert one == one
        assert one != other
        assert len({one, other}) == 2

    @pytest.mark.parametrize(
        "again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
    )
    def test_copies(self, again):
        tup = again(Tuple(["a", 1], source(), 4))
        assert (type(tup), tup.values, tup._row, tup.component) == (Tuple, ["a", 1], 4, "line")

    @pytest.mark.parametrize("arguments", [(), (["a"],), (["a"], 1, 2, 3)])
    def test_wrong_arguments(self, kind, arguments):
        with pytest.raises(TypeError):
            kind(*arguments)

    def test_wrong_uses(self, kind):
        tup = kind(["a"], source())
        with pytest.raises(KeyError, match='no field "wrd"'):
            tup["wrd"]
        with pytest.raises(IndexError):
            tup[7]
        with pytest.raises(AttributeError):
            tup.other = 1

    def test_a_class_of_it_is_fine(self, kind):
        class Mine(kind):
            pass

        for _ in range(20):
            mine = Mine(["a"], source(), 1)
            assert (mine[0], mine._row) == ("a", 1)


def spout_pair() -> tuple[Any, Any, list[Any]]:
    """Return (native, twin, calls): each with a memo of its own, calls of the twin's slow path."""
    calls: list[Any] = []
    pair = []
    for _ in range(2):
        memo: dict[str, Any] = {}
        rows: list[Any] = []
        ids: list[Any] = []

        def twin(
            values: Any, *, id: Any = None, stream: str = "default",
            memo: Any = memo, rows: Any = rows, ids: Any = ids,
        ) -> Any:  # fmt: skip
            calls.append(values)
            rows.append(values)
            ids.append(id)
            if type(values[0]) is str:
                memo[values[0]] = (rows, ids, (7,))
            return (7,)

        twin.state = (rows, ids)  # type: ignore[attr-defined]
        twin.memo = memo  # type: ignore[attr-defined]
        pair.append(twin)
    return NATIVE.SpoutEmit(pair[0], pair[0].memo, 0), pair[1], calls  # type: ignore[attr-defined]


class Word(str):
    __slots__ = ()


class TestSpoutEmit:
    def test_a_known_key_needs_no_twin(self):
        emit, _, calls = spout_pair()
        values = ["a", 1]
        assert [emit(values, id=number) for number in range(3)] == [(7,)] * 3
        assert len(calls) == 1
        rows, ids = inspect.unwrap(emit).state
        assert rows == [values] * 3
        assert all(row is values for row in rows)
        assert ids == [0, 1, 2]
        assert emit(("a",)) == (7,)
        assert ids[-1] is None

    @pytest.mark.parametrize(
        "values", [["b"], [1], [True], [1.0], [None], [Word("a")], (), [], "a", {0: 1}, [["a"]], 5],
        ids=repr,
    )  # fmt: skip
    def test_what_is_not_plain_goes_to_the_twin(self, values):
        emit, twin, calls = spout_pair()
        emit(["a"])
        twin(["a"])
        before = len(calls)
        answers = []
        for call in (emit, twin):
            try:
                answers.append(call(values, id="x"))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the same
                answers.append(repr(error))
        assert len(calls) == before + 2
        assert answers[0] == answers[1]
        assert inspect.unwrap(emit).state == twin.state

    @pytest.mark.parametrize(
        "call",
        [
            lambda emit: emit(),
            lambda emit: emit(["a"], 1),
            lambda emit: emit(["a"], idd=1),
            lambda emit: emit(["a"], id=1, idd=2),
            lambda emit: emit(["a"], values=["a"]),
            lambda emit: emit(id=1),
        ],
    )
    def test_wrong_arguments_raise_what_python_raises(self, call):
        emit, twin, _ = spout_pair()
        emit(["a"])
        texts = []
        for each in (emit, twin):
            with pytest.raises(TypeError) as raised:
                call(each)
            texts.append(str(raised.value))
        assert texts[0] == texts[1]

    @pytest.mark.parametrize(
        "named", [{"stream": "other"}, {"id": 1, "stream": "default"}, {"stream": "x", "id": 2}]
    )
    def test_any_stream_goes_to_the_twin(self, named):
        emit, _, calls = spout_pair()
        emit(["a"])
        emit(["a"], **named)
        emit(values=["a"], id=3)
        assert len(calls) == 3

    def test_id_in_a_name_that_is_not_the_interned_one(self):
        emit, _, _ = spout_pair()
        emit(["a"])
        emit(["a"], **{"".join(["i", "d"]): 9})
        assert inspect.unwrap(emit).state[1] == [None, 9]

    def test_without_a_key(self):
        rows: list[Any] = []
        ids: list[Any] = []
        emit = NATIVE.SpoutEmit(None, (rows, ids, (4,)), -1)
        assert emit({"any": 1}, id=object) == (4,)
        assert (rows, ids) == ([{"any": 1}], [object])

    @pytest.mark.parametrize("arguments", [(), (print,), (print, {}, "0"), (print, [], 0),
                                           (print, {}, -1), (print, ([], (), ()), -1)])  # fmt: skip
    def test_wrong_construction(self, arguments):
        with pytest.raises(TypeError):
            NATIVE.SpoutEmit(*arguments)

    def test_flush_from_another_thread_sees_whole_rows(self):
        rows: list[Any] = []
        ids: list[Any] = []
        emit = NATIVE.SpoutEmit(None, {"a": (rows, ids, (4,))}, 0)
        taken: list[Any] = []
        done = threading.Event()

        def flush() -> None:
            while not done.is_set() or ids:
                size = len(ids)
                part, keys = rows[:size], ids[:size]
                del ids[:size]
                del rows[:size]
                taken.extend(zip(part, keys, strict=True))

        thread = threading.Thread(target=flush)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            thread.start()
            for number in range(100_000):
                emit(["a", number], id=number)
        finally:
            done.set()
            thread.join()
            sys.setswitchinterval(interval)
        assert [(row[1], key) for row, key in taken] == [(n, n) for n in range(100_000)]


class BoltTaskOf:
    current: Any = None


def bolt_emit(
    *, tracked: bool = True, auto_anchor: bool = True
) -> tuple[Any, list[Any], BoltTaskOf, list[Any]]:
    """Return (emit, rows, task, calls of the twin)."""
    rows: list[Any] = []
    calls: list[Any] = []
    task = BoltTaskOf()

    def twin(values: Any, **named: Any) -> Any:
        calls.append((values, named))
        return (8,)

    edges = NATIVE.EdgeSource(Random(1).randbytes)
    memo = {"a": (rows, [], (7,))}
    return NATIVE.BoltEmit(twin, memo, 0, task, edges, tracked, auto_anchor), rows, task, calls


class TestBoltEmit:
    def anchored(self, roots: Any, row: int = 0) -> Any:
        made = source()
        made.roots = roots
        made.edges = roots
        return Tuple(["v"], made, row)

    def test_edge_goes_into_the_pair_and_the_anchor(self):
        emit, rows, task, calls = bolt_emit()
        task.current = self.anchored([11, 22], 1)
        assert emit(["a", 1]) == (7,)
        assert emit(["a", 2]) == (7,)
        edges = [row[2] for row in rows]
        assert rows == [(["a", 1], 22, edges[0]), (["a", 2], 22, edges[1])]
        assert task.current._source.children == [0, edges[0] ^ edges[1]]
        assert not calls

    @pytest.mark.parametrize("untracked", ["no roots", "no tuple", "no anchor"])
    def test_rows_without_an_anchor(self, untracked):
        emit, rows, task, calls = bolt_emit(auto_anchor=untracked != "no anchor")
        task.current = None if untracked == "no tuple" else self.anchored(None)
        emit(["a"])
        assert rows == [(["a"], 0, 0)]
        assert not calls

    def test_without_tracking_a_row_is_its_values(self):
        emit, rows, _, _ = bolt_emit(tracked=False)
        emit(["a"])
        assert rows == [["a"]]

    @pytest.mark.parametrize("roots", [[0], [(1, 2)], (5,), [True]])
    def test_several_roots_or_none_go_to_the_twin_untouched(self, roots):
        emit, rows, task, calls = bolt_emit()
        task.current = self.anchored(roots)
        assert emit(["a"]) == (8,)
        assert (rows, calls) == ([], [(["a"], {})])
        assert task.current._source.children is None

    def test_anchors_streams_and_new_keys_go_to_the_twin(self):
        emit, rows, _, calls = bolt_emit()
        emit(["a"], anchors=[])
        emit(["a"], stream="other")
        emit(["b"])
        emit([])
        assert (len(calls), rows) == (4, [])

    def test_a_fault_of_the_random_source_comes_out(self):
        emit = NATIVE.BoltEmit(None, {"a": ([], [], (7,))}, 0, task := BoltTaskOf(),
                               NATIVE.EdgeSource(lambda _: 1 / 0), True, True)  # fmt: skip
        task.current = self.anchored([5])
        with pytest.raises(ZeroDivisionError):
            emit(["a"])


class TestCounts:
    def test_none_is_counted_by_identity(self):
        class Odd:
            def __eq__(self, other: object) -> bool:
                raise RuntimeError

            __hash__ = None  # type: ignore[assignment]

        assert NATIVE.none_count([None, 0, False, "", Odd(), None]) == 2

    @pytest.mark.parametrize(
        ("rows", "plain"),
        [([], True), ([[], ()], True), ([["a"], "b"], False), ([Word("a")], False), ([{}], False)],
    )
    def test_plain_rows_are_lists_and_tuples(self, rows, plain):
        assert NATIVE.plain_rows(rows) is plain

    @pytest.mark.parametrize("call", [NATIVE.none_count, NATIVE.plain_rows])
    def test_only_lists_are_looked_at(self, call):
        with pytest.raises(TypeError):
            call((None,))


class TestEdges:
    def test_same_edges_as_the_twin(self, monkeypatch):
        ours = NATIVE.EdgeSource(Random(5).randbytes)
        monkeypatch.setattr(native, "MODULE", None)
        twin = edge_source(Random(5).randbytes)
        assert [ours() for _ in range(3000)] == [twin() for _ in range(3000)]

    def test_zero_is_never_drawn(self):
        blobs = iter([bytes(8192), bytes(8184) + b"\x01" + bytes(7)])
        assert NATIVE.EdgeSource(lambda _: next(blobs))() == 1

    @pytest.mark.parametrize("answer", [b"", b"short", "text", None, bytearray(8192)])
    def test_wrong_random_bytes(self, answer):
        with pytest.raises(TypeError):
            NATIVE.EdgeSource(lambda _: answer)()

    def test_takes_nothing(self):
        with pytest.raises(TypeError):
            NATIVE.EdgeSource(Random(1).randbytes)(1)


def exercise() -> list[Callable[[], object]]:
    """Return calls that allocate in every corner of the module."""
    rows: list[Any] = []
    ids: list[Any] = []
    memo = {"a": (rows, ids, (1,))}
    emit = NATIVE.SpoutEmit(lambda values, **_: None, memo, 0)
    bolt, pairs, task, twin_calls = bolt_emit()
    blob = pack_rows(
        [["a", 1 << 40, 1.5, b"x" * 99, ["n", [None]], "é" * 9, f"w{n}"] for n in range(9)]
    )
    bad = blob[:-1] + b"\xc1"

    def spout_calls() -> None:
        emit(["a", object()], id=object())
        emit(["b"])
        with pytest.raises(TypeError):
            emit(["a"], 1, 2)
        del rows[:], ids[:]

    def bolt_calls() -> None:
        made = source()
        made.roots = [1 << 60, 2]
        task.current = Tuple(["x"], made, 0)
        bolt(["a", object()])
        made.roots = [(1, 2)]
        bolt(["a"])
        del pairs[:], twin_calls[:]

    def raising(tup: Any) -> None:
        if tup._row == 3:
            raise ValueError(tup)

    def execute_calls() -> None:
        tuples = NATIVE.packed_rows(blob).tuples(source())
        with pytest.raises(ValueError, match="Tuple"):
            NATIVE.execute_rows(raising, tuples, 99, task)
        NATIVE.packed_rows(bad)

    def made_and_dropped() -> None:
        NATIVE.SpoutEmit(print, {"k": ([], [], ())}, 0)
        NATIVE.BoltEmit(print, {}, 0, task, NATIVE.EdgeSource(Random(1).randbytes), True, True)
        copy.copy(Tuple(["a"], source()))
        cycle: list[Any] = []
        cycle.append(NATIVE.SpoutEmit(cycle, {"k": (cycle, cycle, ())}, 0))

    def row_lists() -> None:
        packed = NATIVE.packed_rows(blob)
        list(packed)
        list(packed.tuples(source()))
        next(iter(packed))

    return [spout_calls, bolt_calls, row_lists, execute_calls, made_and_dropped]


@pytest.mark.parametrize("number", range(5))
def test_nothing_leaks(number: int):
    """Memory after many rounds is what it was after a few, and so are reference counts."""
    call = exercise()[number]
    for _ in range(100):
        call()
    gc.collect()
    watched = [0, None, Tuple, NATIVE.SpoutEmit, NATIVE.BoltEmit, NATIVE.PackedRows]
    before = [sys.getrefcount(each) for each in watched]
    tracemalloc.start()
    try:
        call()
        gc.collect()
        start, _ = tracemalloc.get_traced_memory()
        for _ in range(ROUNDS):
            call()
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A pool of random edges is 8 KB; an object lost in each round would be 16 bytes or more.
    assert end - start < 8 * ROUNDS, f"{(end - start) / ROUNDS:.1f} bytes a round"
    after = [sys.getrefcount(each) for each in watched]
    assert all(new - old < ROUNDS // 10 for old, new in zip(before, after, strict=True))


def test_pure_rows_and_packed_rows_give_the_same_tuples():
    rows = [["a", 1], ["b", 2]]
    pure = list(map(Tuple, rows, repeat(source()), count()))
    ours = list(NATIVE.packed_rows(pack_rows(rows)).tuples(source()))
    assert [(t.values, t._row) for t in ours] == [(t.values, t._row) for t in pure]
