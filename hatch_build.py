"""Builds heronshim/_native.c where there is a C compiler and Python.h; else the wheel is pure.

The jar of the Java instance goes into the wheel if `make java` built it before.

Nothing needs the module (heronshim/native.py). HERONSHIM_NATIVE=0 leaves it out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("heronshim/_native.c")
JAVA_JAR = Path("instances/java/target/heronshim-instance.jar")
FLAGS = ("-shared", "-fPIC", "-O2", "-fwrapv")


class NativeBuildHook(BuildHookInterface):
    """Compiles in the source tree, where an editable install looks for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for a wheel or an editable install; `version` says which."""
        if self.target_name != "wheel":
            return
        built = SOURCE.with_name("_native" + sysconfig.get_config_var("EXT_SUFFIX"))
        root = Path(self.root)
        if version == "standard" and (root / JAVA_JAR).is_file():
            build_data["force_include"][str(root / JAVA_JAR)] = f"heronshim/java/{JAVA_JAR.name}"
        why_not = _compile(root / SOURCE, root / built)
        if why_not:
            (root / built).unlink(missing_ok=True)
            self.app.display_info(f"heronshim without its native module: {why_not}")
            return
        build_data["artifacts"].append(f"/{built}")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _compile(source: Path, built: Path) -> str:
    """Return an empty text, or why there is no module."""
    if os.environ.get("HERONSHIM_NATIVE", "1") == "0":
        return "HERONSHIM_NATIVE=0"
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        return f"no C compiler ({compiler[0]})"
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        return "no Python.h"
    # Renamed when whole: a process may have the older one open.
    partial = built.with_suffix(".partial")
    command = [*compiler, *FLAGS, f"-I{include}", str(source), "-o", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        return f"{shlex.join(command)}:\n{done.stderr}"
    partial.replace(built)
    return ""
