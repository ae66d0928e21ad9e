"""Every example does what its text says, in LocalTopology."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heronshim.testing import LocalTopology

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.core.plan.topology import Topology

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_every_example_is_tested() -> None:
    tested = {"word_count", "rolling_top_words", "fan_out_join", "direct_replies"}
    assert {file.stem for file in EXAMPLES.glob("*.py")} == tested


@pytest.mark.parametrize("seed", range(3))
def test_word_count_equals_a_plain_count(example: Callable[[str], Topology], seed: int) -> None:
    text = (EXAMPLES / "word_count.py").read_text()
    expected = Counter(text.split())
    with LocalTopology(example("word_count"), seed=seed) as local:
        local.run_until_idle()
        assert local.pending == 0
        assert sorted(local.acked("lines")) == list(range(len(text.splitlines())))
        assert local.failed("lines") == []
        counters = [bolt.counts for bolt in local.objects("count")]
        assert counters[0].keys().isdisjoint(counters[1])
        assert counters[0] + counters[1] == expected
        assert local.objects("lines")[0].exhausted.value == 1
        assert local.errors() == []


def test_rolling_top_words_ranks_the_last_seconds(example: Callable[[str], Topology]) -> None:
    with LocalTopology(example("rolling_top_words")) as local:
        local.run_for(3.5)
        rankings = [values[0] for values in local.emitted("top")]
        assert len(rankings) == 3
        last = rankings[-1]
        assert next(word for word, _ in last) == "shoebill"
        assert [count for _, count in last] == sorted([count for _, count in last], reverse=True)
        seen = Counter(word for (word,) in local.executed("count"))
        assert all(count <= seen[word] for word, count in last)


def test_rolling_count_forgets_old_slots(example: Callable[[str], Topology]) -> None:
    with LocalTopology(example("rolling_top_words")) as local:
        local.run_for(2.0)
        local.deactivate()
        local.run_for(7.0)
        ticks = local.emitted("top")[-1]
        before = len(local.emitted("count"))
        local.run_for(2.0)
        assert len(local.emitted("count")) == before
        assert local.emitted("top")[-1] == ticks


@pytest.mark.parametrize("seed", range(3))
def test_fan_out_join_totals_each_order_once(example: Callable[[str], Topology], seed: int) -> None:
    with LocalTopology(example("fan_out_join"), seed=seed) as local:
        local.run_until_idle()
        # The carrier fails its first order, which is emitted again.
        assert len(local.failed("orders")) == 1
        assert sorted(local.acked("orders")) == [0, 1, 2, 3]
        (totals,) = local.objects("totals")
        assert totals.totals == {0: 30, 1: 43, 3: 50}
        assert totals.unknown == ["boat"]
        assert local.pending == 0


def test_direct_replies_reach_the_task_that_asked(example: Callable[[str], Topology]) -> None:
    with LocalTopology(example("direct_replies")) as local:
        local.run_until_idle()
        short, long = local.objects("clerk")
        assert short.answers == {"why?": "WHY?", "who?": "WHO?"}
        assert long.answers == {"how much is it?": "HOW MUCH IS IT?"}
        assert sorted(local.acked("questions")) == ["how much is it?", "who?", "why?"]
