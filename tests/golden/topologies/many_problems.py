"""All problems at once."""

from _parts import Count, Lines, Split

from heronshim.api import Bolt, CustomGrouping, Grouping, Spout, Stream, Topology, TopologyBuilder


class Wrong(Topology):
    options = {"contaners": 2, "batch_rows": 0}
    lines = Lines.spec(parallelism=0, paht="x.txt")
    split = Split.spec(inputs=[lines], options={"cpus": 2}, tasks="many")
    count = Count.spec(inputs={split: Grouping.fields("wrod"), lines["errs"]: Grouping.all()})
