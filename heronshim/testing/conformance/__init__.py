"""Suites that show whether an implementation of an SPI keeps its contract.

Subclass the suite in a test module, name the class `Test...` and say how one is made:

    class TestMine(StateManagerSuite):
        def make(self) -> StateManager:
            return MyStateManager({"address": "localhost:2181"})
"""
