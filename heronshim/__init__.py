"""A stream processor that runs Storm topologies on a Python core."""
