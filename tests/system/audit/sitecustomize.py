"""Found by Python at the start of every process of a system test: watches what the engine does.

A daemon of the engine that unpickles, compiles or runs code that is in no installed package, or
asks a shell to do something, says so and ends. Instances and commands are not watched: authors'
code may do all of it. Production never sees this file.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from itertools import dropwhile
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = "HERONSHIM_AUDIT_FOLDER"
"""Environment variable: where each daemon that is watched, and each violation, leaves a file."""
EXIT_CODE = 86
WATCHED = "heronshim.core.daemons."
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
ALWAYS = frozenset(
    {
        *("pickle.find_class", "os.system", "os.exec", "os.spawn", "shutil.unpack_archive"),
        *("code.__new__", "function.__new__", "cpython.run_command", "cpython.run_file"),
        *("cpython.run_interactivehook", "cpython.run_stdin", "builtins.input", "pdb.Pdb"),
    }
)
"""Events that no daemon needs."""
CODE = frozenset({"compile", "exec", "marshal.loads", "marshal.load"})
"""Events that Python's own import and installed packages need, and nothing else."""
STARTS = frozenset({"subprocess.Popen", "os.posix_spawn"})


def forbidden(event: str, args: tuple[Any, ...], caller: FrameType | None) -> bool:
    """Return whether a daemon may not do this; `caller` is the frame of Python that does it."""
    if event in CODE:
        return caller is not None and not _is_installed(caller.f_code.co_filename)
    if event in STARTS:
        program = os.fsdecode(args[0] or (args[1] or [""])[0])
        return program.rpartition("/")[2] in SHELLS
    return event in ALWAYS and not _is_import(caller)


def install(module: str, folder: str) -> None:
    """Watch this process from now on."""
    name = f"{module.rpartition('.')[2]}.{os.getpid()}"

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in ALWAYS and event not in CODE and event not in STARTS:
            return
        if forbidden(event, args, sys._getframe(1)):
            text = f"{name} is not allowed {event} {args!r:.500}\n"
            with Path(folder, f"violation.{name}").open("a") as file:
                file.write(text)
            os.write(2, f"audit: {text}".encode())
            os._exit(EXIT_CODE)

    Path(folder, f"watched.{name}").touch()
    sys.addaudithook(hook)


def _is_import(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith("<frozen ")


_PLACES = tuple(
    os.path.realpath(sysconfig.get_paths()[name]) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def _is_installed(file: str) -> bool:
    """Return whether code is Python's own, or of a package that is installed beside heronshim."""
    return file.startswith(("<frozen ", *_PLACES)) and f"{os.sep}heronshim{os.sep}" not in file


if folder := os.environ.get(FOLDER, ""):
    # Not of a wrapper, which has its process's command for an argument.
    words = list(dropwhile(lambda word: word.startswith("-") and word != "-m", sys.orig_argv[1:]))
    if words[:1] == ["-m"] and (module := words[1]).startswith(WATCHED):
        install(module, folder)
