"""Makes the objects of an author's component classes, in instances."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.errors import TopologyError
from heronshim.instance.author_code import AuthorCode

if TYPE_CHECKING:
    from collections.abc import Mapping


def load_component(name: str, arguments: Mapping[str, object], package_dir: str) -> object:
    """Return an object of the class "module:QualName", made with `arguments`.

    Modules are looked for in `package_dir` first.

    Raises:
        TopologyError: the class cannot be imported or made; names it and the author's line.
    """
    module_name, _, qualified_name = name.partition(":")
    if package_dir and package_dir not in sys.path:
        sys.path.insert(0, package_dir)
    code = AuthorCode(module_name, Path(package_dir or ".").absolute(), package_dir)
    try:
        found: object = importlib.import_module(module_name)
        for part in qualified_name.split("."):
            found = getattr(found, part)
        if not isinstance(found, type):
            msg = f"it is an object of type {type(found).__name__}, not a class"
            raise TypeError(msg)
        return found(**arguments)
    except Exception as error:
        msg = f"component {name} cannot be loaded: {code.fault(error)}"
        raise TopologyError([msg]) from error
