"""The per-tuple path in C (`heronshim/_native.c`), where it was built and is wanted.

It is optional: everything it does has a twin in Python, which is the reference and passes the same
tests. HERONSHIM_NATIVE=0 in the environment chooses the twins.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

INTERFACE = 2
"""What this package expects of the module: one built from an older source is left alone."""


def _load() -> ModuleType | None:
    if os.environ.get("HERONSHIM_NATIVE", "1") == "0":
        return None
    try:
        from heronshim import _native  # noqa: PLC0415 - absent where there is no compiler
    except ImportError:
        return None
    return _native if _native.INTERFACE == INTERFACE else None


MODULE = _load()
"""The native module, or None."""
