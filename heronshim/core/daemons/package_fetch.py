"""Fetches and unpacks a topology's package for one container, then ends.

A process of its own, so that a slow or broken store, or an uploader with threads, never touches
the supervisor. Exit 0: the package is there.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.child import ChildStart
from heronshim.core.io.logs import log_event, setup_daemon
from heronshim.core.io.packages import extract
from heronshim.core.io.regular_file import read_regular
from heronshim.core.spi import registry
from heronshim.errors import HeronshimError, UploadError

if TYPE_CHECKING:
    from heronshim.core.spi.scheduler import Launch
    from heronshim.core.spi.uploader import Uploader

DIGEST_FILE = "package.sha256"
"""Beside the package's folder: the digest of what was unpacked last."""


def fetch_package(launch: Launch, folder: Path) -> bool:
    """Have the package in `folder`; return False when it was there already.

    Raises:
        UploadError, NotFoundError: it cannot be fetched, is not what was submitted, or is
            damaged.
        ConfigError: the uploader or its options are wrong.
    """
    digest_file = folder.with_name(DIGEST_FILE)
    if folder.is_dir() and launch.package_sha256 and _read(digest_file) == launch.package_sha256:
        return False
    uploader: Uploader = registry.load(registry.UPLOADERS, launch.uploader)(launch.uploader_options)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=folder.parent) as temporary:
        package = Path(temporary) / "package"
        uploader.fetch(launch.package_uri, package)
        with package.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if launch.package_sha256 and found != launch.package_sha256:
            msg = (
                f"package {launch.package_uri} has SHA-256 {found}, submitted was "
                f"{launch.package_sha256}; kill the topology and submit it again"
            )
            raise UploadError(msg)
        extract(package, folder)
    digest_file.write_text(found, "ascii")
    return True


def _read(path: Path) -> str:
    try:
        return read_regular(path, 1024).decode("ascii")
    except (OSError, ValueError):
        return ""


def main() -> int:
    """Fetch the package of the start line on standard input."""
    setup_daemon()
    try:
        start = ChildStart.read(sys.stdin.buffer)
        fetched = fetch_package(start.launch, Path(start.package_dir))
    except HeronshimError as error:
        log_event("ERROR", "package_failed", error=error)
        return error.exit_code
    log_event("INFO", "package_ready", uri=start.launch.package_uri, fetched=fetched)
    return 0


if __name__ == "__main__":
    sys.exit(main())
