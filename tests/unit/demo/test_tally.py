"""A spout's tally is there for others at once."""

from __future__ import annotations

from pathlib import Path

from heronshim.demo.tally import TALLY_FILE, Tally, TallyWriter, read_tally
from heronshim.demo.word_count import word_count
from heronshim.testing import LocalTopology


def test_tally_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_tally(str(tmp_path)) == Tally(0, 0, 0, 0)
    writer = TallyWriter(str(tmp_path))
    assert read_tally(str(tmp_path)) == Tally(0, 0, 0, 0)
    for tally in (Tally(5, 3, 1, 2), Tally(1 << 40, 1 << 40, 0, 0)):
        writer.write(tally)
        assert read_tally(str(tmp_path)) == tally


def test_half_a_file_is_no_tally(tmp_path: Path) -> None:
    (tmp_path / TALLY_FILE).write_bytes(b"x")
    assert read_tally(str(tmp_path)) == Tally(0, 0, 0, 0)


def test_spout_of_the_demonstration_keeps_one(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one two\nthree\n")
    topology = word_count("words", str(tmp_path), str(text), 2, tally=True)
    with LocalTopology(topology) as local:
        local.run_for(5)
        assert read_tally(str(tmp_path)) == Tally(4, 4, 0, 0)
