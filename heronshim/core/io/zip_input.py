"""What zipfile lacks to read zips of strangers: a bound on what it reads at once."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import BinaryIO

ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
)
"""What zipfile raises for bytes that are no good zip."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others zipfile unpacks a whole chunk of input at once: megabytes out of some bytes."""


class BoundedReads:
    """A file for zipfile in which no single read may be larger than `bytes_max`.

    zipfile reads the whole directory of entries at once. What the end of the file says of its
    size is no bound: a record of newer zips says it anew, and that one counts.
    """

    def __init__(self, file: BinaryIO, bytes_max: int) -> None:
        self._file = file
        self._bytes_max = bytes_max
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int | None = -1) -> bytes:
        """Read as a file does; raises BadZipFile."""
        wanted = self._bytes_max + 1 if size is None or size < 0 else size
        data = self._file.read(min(wanted, self._bytes_max + 1))
        if len(data) > self._bytes_max:
            msg = f"its list of entries has over {self._bytes_max} bytes"
            raise zipfile.BadZipFile(msg)
        return data
