"""The page of the instance protocol is current: its record, its tables, and every byte of it."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import reduce
from operator import xor
from pathlib import Path
from types import ModuleType

import pytest

from heronshim.core.stream.frame import Kind
from heronshim.errors import ErrorCode

PAGE = Path(__file__).parents[2] / "docs" / "instance-protocol.md"
WRITE = "type .venv/bin/python tests/vectors/record_exchange.py --write"


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    script = Path(__file__).with_name("record_exchange.py")
    spec = importlib.util.spec_from_file_location("record_exchange", script)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_record_on_the_page_is_current(recorder: ModuleType) -> None:
    frames = recorder.record()
    assert recorder.PAGE.read_text() == recorder.page(frames), WRITE
    assert recorder.FILE.read_text() == recorder.file(frames), WRITE


def test_record_shows_what_the_page_is_about() -> None:
    exchange = json.loads(Path(__file__).with_name("exchange.json").read_text())
    kinds = [frame["kind"] for frame in exchange["frames"]]
    assert kinds[:3] == ["HELLO", "HELLO_ACK", "PLAN"]
    assert kinds[-2:] == ["BYE", "BYE_ACK"]
    wanted = {"CREDIT_REQUEST", "CREDIT", "DATA", "OUTCOMES", "HEARTBEAT", "METRICS"}
    assert wanted <= set(kinds)


def test_sum_below_the_record_is_right() -> None:
    text = PAGE.read_text()
    start, end = text.index("<!-- recorded -->"), text.index("<!-- end of the record -->")
    *edges, total = [part.rstrip(".") for part in re.findall(r"[0-9a-f]{8}\.\.\.", text[end:])]
    assert len(edges) == 3
    assert int(total, 16) == reduce(xor, [int(edge, 16) for edge in edges])
    assert all(f" {part}" in text[start:end] for part in (*edges, total))


def test_tables_of_the_page_have_all_kinds_and_errors() -> None:
    text = PAGE.read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE))
    assert {int(code): name for code, name in rows.items() if name.isupper()} == {
        code.value: code.name for code in ErrorCode if code
    }
    table = text[text.index("| kind |") : text.index("1. Make a socket")]
    named = dict(re.findall(r"(\d+) ([A-Z_]{3,})", table))
    assert all(Kind(int(number)).name == name for number, name in named.items())
    numbers = {int(number) for number in re.findall(r"\d+", table)}
    assert {kind.value for kind in Kind if kind < 32} <= numbers
