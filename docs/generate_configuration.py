"""Writes docs/configuration.md from the options in heronshim/config.py and the command line.

Run it after a change of either: .venv/bin/python docs/generate_configuration.py
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from pathlib import Path

from heronshim import config
from heronshim.cli.settings import DESCRIPTIONS
from heronshim.config import ComponentOptions, TopologyOptions

HEAD = """\
# Configuration

Written by `docs/generate_configuration.py`; change the sources that it reads.

`heronshim config effective TOPOLOGY` shows every option of a topology with its value and who set
it. An unknown option is an error that names the nearest known one.

## Options of a topology

Set them in a topology class, `options = {"containers": 2}`, or with `TopologyBuilder.options`.
"""
COMPONENT = """\

## Options of a component

Set them in a spec: `Count.spec(options={"tick_interval_s": 1.0})`.
"""
HOST = """\

## Options of heronshim on a host

They lie in `config.yaml` in the folder HERONSHIM_HOME (default: `.heronshim` in the home folder),
and hold for topologies that are submitted from then on. `heronshim config list` shows them,
`heronshim config set KEY VALUE` changes one.

| key | meaning |
| --- | --- |
"""
VARIABLES = """\

## Environment variables

| variable | meaning |
| --- | --- |
| `HERONSHIM_HOME` | folder of state, packages, logs and `config.yaml`; mode 700 |
| `HERONSHIM_NATIVE` | 0 chooses Python alone for the per-tuple path, when installed or started |
| `HERONSHIM_SOCKET_DIR` | folder of Unix sockets; a socket's path has at most 107 bytes |
"""


def document() -> str:
    """Return the whole page."""
    parts = [HEAD, _table(TopologyOptions), COMPONENT, _table(ComponentOptions), HOST]
    parts += [f"| `{key}` | {meaning} |\n" for key, meaning in DESCRIPTIONS.items()]
    return "".join([*parts, VARIABLES])


def _table(options: type[TopologyOptions] | type[ComponentOptions]) -> str:
    described = _descriptions(options.__name__)
    lines = ["\n| option | default | range | meaning |\n| --- | --- | --- | --- |\n"]
    for option in fields(options):
        default = "none" if option.default is None else f"`{option.default}`"
        row = f"| `{option.name}` | {default} | {_range(option.name, str(option.type))} |"
        lines.append(f"{row} {described[option.name]} |\n")
    return "".join(lines)


def _descriptions(name: str) -> dict[str, str]:
    """Return the text below each attribute of a class in config.py."""
    tree = ast.parse(inspect.getsource(config))
    found = next(node for node in tree.body if getattr(node, "name", "") == name)
    assert isinstance(found, ast.ClassDef)
    described = {}
    for attribute, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(attribute.target, ast.Name)
            assert isinstance(text.value, ast.Constant)
            described[attribute.target.id] = " ".join(str(text.value.value).split())
    return described


def _range(name: str, annotation: str) -> str:
    if name in config.CHOICES:
        return ", ".join(f"`{choice}`" for choice in config.CHOICES[name])
    if annotation.startswith("bool"):
        return "`True`, `False`"
    if name not in config.RANGES:
        return "text"
    low, high = config.RANGES[name]
    return f"{low:,.10g} to {high:,.10g}"


if __name__ == "__main__":
    Path(__file__).with_name("configuration.md").write_text(document(), encoding="utf-8")
