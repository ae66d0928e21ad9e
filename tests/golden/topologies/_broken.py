"""Imported by syntax_error_below.py."""

def broken(:
    pass
