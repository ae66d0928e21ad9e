"""An author's code that leaves by sys.exit or the like is seen: its process restarts each time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heronshim.instance.runtime import UserCodeFailed
from tests.unit.instance.loop import SHUFFLE, Feed, Loop, Take, bolt, output, spout

LEAVINGS = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]


def leaving(base: type, method: str, error: BaseException) -> type:
    def leaves(self: Any, *_: Any) -> None:
        raise error

    return type("Leaves", (base,), {method: leaves})


def make_loop(spouts: type = Feed, bolts: type = Take) -> Loop:
    components = [spout("s", output("word")), bolt("b", {"s": SHUFFLE})]
    return Loop(components, {"s": spouts, "b": bolts})


@pytest.mark.parametrize("error", LEAVINGS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("base", "method"),
    [
        (Feed, "open"),
        (Feed, "next_tuple"),
        (Feed, "ack"),
        (Feed, "activate"),
        (Take, "prepare"),
        (Take, "execute"),
    ],
)
def test_leaving_ends_the_process_and_is_reported(base, method, error):
    made = leaving(base, method, error)
    loop = make_loop(spouts=made) if base is Feed else make_loop(bolts=made)
    with pytest.raises(UserCodeFailed, match=type(error).__name__):  # noqa: PT012 - any step
        loop.open()
        loop.feed([(["a"], 1)])
        loop.run()
    [report] = loop.errors()
    assert report.component == ("s" if base is Feed else "b")
    assert report.message.startswith(type(error).__name__)


def test_leaving_while_closing_does_not_keep_the_others_from_closing():
    closed: list[int] = []

    class Closes(Take):
        def cleanup(self) -> None:
            closed.append(self.context.task_id)
            raise SystemExit(5)

    loop = Loop(
        [spout("s", output("word")), bolt("b", {"s": SHUFFLE}, parallelism=3)],
        {"s": Feed, "b": Closes},
    )
    loop.open()
    with pytest.raises(UserCodeFailed, match="SystemExit: 5"):
        loop.runtimes["b"].close()
    assert closed == [1, 2, 3]
