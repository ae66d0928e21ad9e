"""Right components that the wrong topologies beside this file use."""

from heronshim.api import Bolt, Spout, Stream


class Lines(Spout):
    outputs = {"default": ["line"], "errors": ["line", "reason"], "parts": Stream(["part"], direct=True)}

    def __init__(self, path="x.txt"):
        self.path = path

    def next_tuple(self):
        pass


class Split(Bolt):
    outputs = ["word"]

    def execute(self, tup):
        for word in tup["line"].split():
            self.emit([word])


class Count(Bolt):
    outputs = ["word", "count"]

    def execute(self, tup):
        self.emit([tup["word"], 1])
