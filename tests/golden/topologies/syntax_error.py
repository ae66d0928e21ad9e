"""A call that is not closed."""

from heronshim.api import Topology


class Wrong(Topology):
    options = {"containers": 2
    lines = None
