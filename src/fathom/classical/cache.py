"""Where machine code of kernels is kept between runs."""

import contextlib
import hashlib
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

_FOLDERS = Path(__file__).parents[1]


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Where compiled kernels are kept: the first place that can be written, or None.

    FATHOM_CACHE_DIR, else the user's cache folder, else a folder of this user under the temporary
    directory. The name carries a digest of the kernels' source: changed kernels are new ones.
    """
    digest = hashlib.sha256()
    for path in (*sorted(_FOLDERS.glob("*/kernels/*.py")), Path(__file__).with_name("native.py")):
        digest.update(path.read_bytes())
    name = f"kernels-{digest.hexdigest()[:12]}"
    for base in _cache_bases():
        folder = base / name
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(folder):
                tempfile.TemporaryFile(dir=folder).close()
                return folder
    return None


def _cache_bases() -> list[Path]:
    bases = []
    if named := os.environ.get("FATHOM_CACHE_DIR"):
        bases.append(Path(named))
    user = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        bases.append((Path(user) if user else Path.home() / ".cache") / "fathom")
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    bases.append(Path(tempfile.gettempdir()) / f"fathom-{owner}")
    return bases


def _is_ours(folder: Path) -> bool:
    # The cache holds machine code: never run what another user may have put there
    if not hasattr(os, "getuid"):
        return True
    return all(
        not path.is_symlink() and path.stat().st_uid == os.getuid()
        for path in (folder, folder.parent)
    )
