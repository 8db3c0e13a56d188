"""Where things that can be made again are kept between runs: compiled kernels, compiled models."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path


def cache_bases() -> list[Path]:
    """Places for a cache, best first: FATHOM_CACHE_DIR, the user's cache folder, a folder of this
    user under the temporary directory."""
    bases = []
    if named := os.environ.get("FATHOM_CACHE_DIR"):
        bases.append(Path(named))
    user = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        bases.append((Path(user) if user else Path.home() / ".cache") / "fathom")
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    bases.append(Path(tempfile.gettempdir()) / f"fathom-{owner}")
    return bases


def own_folder(name: str, bases: Iterable[Path]) -> Path | None:
    """The folder `name` in the first of `bases` that can be written and is ours, or None."""
    for base in bases:
        folder = base / name
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(folder):
                tempfile.TemporaryFile(dir=folder).close()
                return folder
    return None


def _is_ours(folder: Path) -> bool:
    # A cache holds what is run: never run what another user may have put there
    if not hasattr(os, "getuid"):
        return True
    return all(
        not path.is_symlink() and path.stat().st_uid == os.getuid()
        for path in (folder, folder.parent)
    )
