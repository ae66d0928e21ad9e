"""What `_native.c` has; see heronshim/native.py."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from heronshim.api.tuple import Source
from heronshim.api.tuple import Tuple as Tuple

INTERFACE: int

class PackedRows:
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[list[Any]]: ...
    def tuples(self, source: Source) -> RowTuples: ...

class RowTuples:
    in_hand: list[Any] | None
    def __iter__(self) -> RowTuples: ...
    def __next__(self) -> Tuple: ...
    def __length_hint__(self) -> int: ...

class EdgeSource:
    def __init__(self, random_bytes: Callable[[int], bytes]) -> None: ...
    def __call__(self) -> int: ...

class SpoutEmit:
    def __init__(
        self,
        reference: Callable[..., Sequence[int]],
        memo: dict[str, Any] | tuple[list[Any], list[Any], Sequence[int]],
        index: int,
    ) -> None: ...
    def __call__(self, values: Sequence[Any], **named: Any) -> Sequence[int]: ...

class BoltEmit:
    def __init__(
        self,
        reference: Callable[..., Sequence[int]],
        memo: dict[str, Any],
        index: int,
        task: object,
        edges: EdgeSource,
        tracked: bool,
        auto_anchor: bool,
    ) -> None: ...
    def __call__(self, values: Sequence[Any], **named: Any) -> Sequence[int]: ...

def execute_rows(
    execute: Callable[[Tuple], object], tuples: RowTuples, limit: int, task: object | None
) -> None: ...
def packed_rows(blob: bytes) -> PackedRows | None: ...
