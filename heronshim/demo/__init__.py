"""The topology of `heronshim demo`."""
