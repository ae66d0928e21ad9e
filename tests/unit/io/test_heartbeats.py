"""Signs of life go through pipes that never hold anybody up, and garbage in one is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.io.heartbeats import (
    Beat,
    HeartbeatReader,
    HeartbeatWriter,
    NamedHeartbeatWriter,
    open_named_reader,
)
from heronshim.errors import RemoteProtocolError

NAMES = st.text(max_size=20)


@given(
    st.none() | st.lists(st.tuples(NAMES, st.integers(0, 1 << 60))).map(tuple),
    st.lists(NAMES).map(tuple),
)
def test_a_beat_read_back_equals_what_was_written(heard, suspected) -> None:
    beat = Beat(heard, suspected)
    assert beat.to_line().count(b"\n") == 1
    assert Beat.from_line(beat.to_line()) == beat


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "beat is no JSON"),
        (b"[]", "beat: expected an object"),
        (b'{"heard": null}', 'field "suspected" is missing'),
        (b'{"heard": [["a"]], "suspected": []}', "beat.heard: expected a process and its"),
        (b'{"heard": [["a", "1"]], "suspected": []}', "beat.heard: expected a process and its"),
        (b'{"heard": null, "suspected": [1]}', "beat.suspected: expected text"),
        (b'{"heard": null, "suspected": [], "more": 1}', 'unknown field "more"'),
    ],
)
def test_a_line_that_is_no_beat_says_why(line: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Beat.from_line(line)
    assert message in str(caught.value)


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    reader, writer = HeartbeatReader(read_end), HeartbeatWriter(write_end)
    yield reader, writer
    reader.close()
    writer.close()


def test_beats_arrive_in_order_and_garbage_between_them_is_left_out(pipe) -> None:
    reader, writer = pipe
    assert reader.read() == []
    writer.write(Beat((("a", 1),)))
    os.write(writer._descriptor, b"garbage\n\xff\xfe\n")
    writer.write(Beat(None, ("b",)))
    assert reader.read() == [Beat((("a", 1),)), Beat(None, ("b",))]
    writer.close()
    assert reader.read() == []
    assert reader.fileno() == -1


def test_a_reader_that_is_stopped_holds_up_nobody_and_misses_only_the_newest(pipe) -> None:
    reader, writer = pipe
    beats = [Beat((("x" * 1000, number),)) for number in range(1000)]
    for beat in beats:
        writer.write(beat)
    got = reader.read()
    assert 0 < len(got) < 100
    assert got == beats[: len(got)]
    writer.write(beats[0])
    writer.write(beats[1])
    assert reader.read()[-1] == beats[1]


def test_a_beat_longer_than_the_pipe_arrives_in_pieces(pipe) -> None:
    reader, writer = pipe
    beat = Beat(tuple((f"count-{number}", number) for number in range(20_000)))
    got = []
    for _ in range(20):
        writer.write(beat)
        got += reader.read()
    assert got[0] == beat


def test_a_writer_without_a_reader_goes_on_in_silence(pipe) -> None:
    reader, writer = pipe
    reader.close()
    writer.write(Beat())
    writer.write(Beat())
    HeartbeatWriter(-1).write(Beat())


def test_a_named_pipe_serves_one_reader_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    writer = NamedHeartbeatWriter(path)
    writer.write(Beat(None, ("before there is a pipe",)))
    first = open_named_reader(path)
    writer.write(Beat(None, ("one",)))
    assert first.read() == [Beat(None, ("one",))]
    first.close()
    writer.write(Beat(None, ("nobody",)))
    second = open_named_reader(path)
    writer.write(Beat(None, ("two",)))
    assert second.read()[-1] == Beat(None, ("two",))
    writer.close()
    assert second.read() == []
    assert second.fileno() >= 0
    second.close()


def test_a_file_in_the_place_of_the_named_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with pytest.raises(OSError, match=r"no named pipe|symbolic links"):
            open_named_reader(tmp_path / name)
        NamedHeartbeatWriter(tmp_path / "link").write(Beat())
    assert (tmp_path / "file").read_text() == "kept"


def test_the_writers_death_closes_the_reader() -> None:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=(write_end,)
    )
    os.close(write_end)
    reader = HeartbeatReader(read_end)
    assert reader.read() == []
    assert reader.fileno() >= 0
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert reader.read() == []
    assert reader.fileno() == -1
