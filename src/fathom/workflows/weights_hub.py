"""`fathom weights add` of models whose weights lie on the hub."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fathom.catalog import ENTRIES, Entry
from fathom.published.hub import Address, address, fetch

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """A repository of the hub that is in its cache now. path: its folder there. name: the
    catalog's name of the model, None where it has none. bytes: of all its files. licence: as the
    catalog says."""

    path: str
    name: str | None
    repo: str
    revision: str
    bytes: int
    licence: str


def hub_target(target: str) -> tuple[Entry | None, Address] | None:
    """What `fathom weights add TARGET` would fetch from the hub: a name of the catalog, or
    owner/name[@revision]; None for what is no such thing (an address, a file, another name).

    Raises `UsageError` for a repository with a revision that is none.
    """
    if "://" in target or Path(target).exists():
        return None
    named = next((e for e in ENTRIES if e.name == target and e.hub is not None), None)
    if named is not None and named.hub is not None:
        return named, Address(named.hub.repo, named.hub.revision)
    at = address(target)
    if at is None:
        return None
    known = (
        e for e in ENTRIES
        if e.hub is not None and e.hub.repo == at.repo and e.weights in ("", e.name)
    )  # fmt: skip
    return next(known, None), at


def fetch_weights(
    found: tuple[Entry | None, Address],
    notify: Notify = lambda _: None,
    *,
    half: bool = False,
    update: bool = False,
) -> Fetched:
    """Fetches them into the hub's cache, where the methods find them. half: in half precision,
    where there is one. update: what a branch is now, not what it was when it was first fetched.

    Raises as `fathom.published.hub.fetch`.
    """
    entry, at = found
    if entry is not None:
        notify(f"{entry.name}: {entry.licence}")
        size = 0
        if entry.hub is not None:
            size = (half and entry.hub.half) or entry.hub.megabytes
        if size:
            notify(f"about {size} MB")
    folder = fetch(at, notify, half=half, update=update)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Fetched(
        str(folder), entry.name if entry else None, at.repo, at.revision, total,
        entry.licence if entry else "see its page on the hub",
    )  # fmt: skip
