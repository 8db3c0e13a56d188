"""Branches of the hub, held at the commit that was fetched first.

A branch may be another thing tomorrow, without a word. So what was fetched by one stays what it is
on this machine until somebody asks for the newest: a JSON file beside the hub's cache says which
commit a branch was. Whoever writes it reads it anew first; of two who do at once one is forgotten,
and held at its next fetching.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from fathom.io.atomic import write_text

COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = "fathom-revisions.json"


def held(cache: Path, repo: str, revision: str) -> str | None:
    """The commit that a repository's branch is held at, None for none. cache: of the hub."""
    found = _all(cache).get(f"{repo}@{revision}")
    return found if isinstance(found, str) and COMMIT.fullmatch(found) else None


def hold(cache: Path, repo: str, revision: str, commit: str) -> None:
    """Holds a branch at a commit. Raises `ResourceError` if that cannot be written."""
    known = _all(cache) | {f"{repo}@{revision}": commit}
    write_text(cache / _FILE, json.dumps(known, indent=1, sort_keys=True) + "\n")


def _all(cache: Path) -> dict[str, object]:
    """What the file says; a damaged one says nothing, and is written anew at the next fetching."""
    with suppress(OSError, ValueError):
        said = json.loads((cache / _FILE).read_bytes())
        return said if isinstance(said, dict) else {}
    return {}
