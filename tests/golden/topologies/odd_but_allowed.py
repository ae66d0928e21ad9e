"""Allowed, but probably not meant: a cycle, bolts that no spout reaches, idle options."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Odd(Topology):
    lines = Lines.spec(options={"tick_interval_s": 1})
    split = Split.spec(inputs=[lines, "count"])
    count = Count.spec(inputs={split: Grouping.fields("word")})
    lonely = Split.spec(inputs=["pair"])
    pair = Split.spec(inputs=["lonely"])
