"""Fixtures for authors' tests; pytest finds them by the entry point "heronshim"."""
