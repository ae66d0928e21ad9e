"""A line too far to the left."""

from heronshim.api import Bolt


class Upper(Bolt):
    def execute(self, tup):
    pass
