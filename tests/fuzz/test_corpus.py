"""What `make fuzz` kept is read or refused, and it finds what is planted."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import pytest

from heronshim.core.codec.link import decode_credit
from heronshim.errors import RemoteProtocolError
from tests.fuzz import __main__ as command
from tests.fuzz import fuzzer
from tests.fuzz.fuzzer import Failure, check, fuzz, smallest
from tests.fuzz.targets import CORPUS, TARGETS, Target, first_inputs, read_inputs


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    kept = read_inputs(CORPUS / target.file)
    assert len(kept) > 1
    for data in kept:
        check(target, data)


def test_no_corpus_is_of_a_reader_that_is_gone() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {item.file for item in TARGETS.values()}


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutant_is_more_than_refused(name: str) -> None:
    target = TARGETS[name]
    seeds = [*first_inputs(), *read_inputs(CORPUS / target.file)]
    pool = fuzz(target, seeds, 0.3, random.Random(name))
    assert pool


def planted(data: bytes) -> object:
    """Read credit; much of it is an error of the reader's."""
    if any(grant > 1 << 32 for _, grant in decode_credit(data)):
        raise IndexError("much")
    return None


def test_a_planted_fault_is_found_printed_and_kept_as_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CORPUS", tmp_path)
    target = Target("planted", planted)
    assert command.run(target, 60, 1) == 1
    (data,) = read_inputs(tmp_path / target.file)
    with pytest.raises(IndexError):
        planted(data)
    assert data.hex() in capsys.readouterr().out
    with pytest.raises(Failure, match="IndexError: much"):
        check(target, data)


def test_an_input_that_takes_too_long_or_too_much_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fuzzer, "CPU_S_MAX", 0.01)
    with pytest.raises(Failure, match="s of CPU"):
        check(Target("t", lambda _: sum(range(10_000_000))), b"")
    monkeypatch.setattr(fuzzer, "CPU_S_MAX", 100.0)
    size = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) + fuzzer.GROWTH_BYTES_MAX
    with pytest.raises(Failure, match="MB"):
        check(Target("t", lambda _: b"x" * size), b"")


def test_the_smallest_inputs_that_reach_the_same_are_kept() -> None:
    def read(data: bytes) -> None:
        raise RemoteProtocolError(f"message {'abc'[len(data) % 3]}")

    target = Target("t", read)
    assert smallest(target, [b"", b"123", b"1", b"1234", b"12345678"]) == [b"", b"1", b"12345678"]
