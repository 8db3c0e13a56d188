"""Where machine code of kernels is kept between runs."""

import hashlib
from functools import lru_cache
from pathlib import Path

from fathom.io.cache import cache_bases as _cache_bases
from fathom.io.cache import own_folder

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
    return own_folder(f"kernels-{digest.hexdigest()[:12]}", _cache_bases())
