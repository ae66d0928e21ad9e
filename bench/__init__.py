"""Benchmarks: heronshim against its own limit, in one run, alternating."""
