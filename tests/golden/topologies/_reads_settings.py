"""Imported by exception_below.py."""

import json

SETTINGS = json.loads("{not json}")
