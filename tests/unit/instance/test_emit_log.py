"""The option `debug`: every emit of the component is a line in its log, in open too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from heronshim.api import Tuple
from tests.unit.instance.loop import SHUFFLE, Feed, Loop, Take, bolt, output, spout


class EagerFeed(Feed):
    """Emits when it is opened, too."""

    def open(self, config: Mapping[str, Any], context: Any) -> None:
        super().open(config, context)
        self.emit(["first"])


class Relay(Take):
    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values)


class Unshowable(list[str]):
    """Values of an author who did not finish his class."""

    def __repr__(self) -> str:
        raise ValueError


def emits(text: str) -> list[str]:
    return [line.partition(" event=emit ")[2] for line in text.splitlines() if "=emit " in line]


def run(*, debug: bool, values: list[str] | None = None) -> None:
    components = [
        spout("feed", options={"debug": debug}),
        bolt("relay", {"feed": SHUFFLE}, output()),
        bolt("take", {"relay": SHUFFLE}),
    ]
    loop = Loop(components, {"feed": EagerFeed, "relay": Relay, "take": Take})
    loop.run()
    loop.one("feed").rows.append((values or ["second"], None))
    loop.run()
    assert len(loop.one("take").rows) == 2


def test_each_emit_of_the_component_is_logged_with_its_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(debug=True)
    assert emits(capsys.readouterr().err) == [
        "component=feed task=1 stream=default targets=2 values=['first']",
        "component=feed task=1 stream=default targets=2 values=['second']",
    ]


def test_no_emit_is_logged_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    run(debug=False)
    assert emits(capsys.readouterr().err) == []


def test_values_that_cannot_be_shown_are_emitted_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(debug=True, values=Unshowable(["x"]))
    assert emits(capsys.readouterr().err)[-1].endswith('values="(cannot be shown)"')
