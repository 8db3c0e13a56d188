"""`fathom weights list`: all weights that are known or kept."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom import weights as shipped_models
from fathom.catalog import ENTRIES, Entry
from fathom.core.errors import FathomError, unknown_name
from fathom.published.hub import Address, cached
from fathom.published.record import RECIPES, UNKNOWN, Licences, Weights
from fathom.published.store import Kept, kept_paths, read_header
from fathom.workflows.weights_known import net_modules, weights_of

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """Weights there are. state: ready / download / convert / install, or damaged. path: where they
    lie. bytes: of that file, else of the authors' where known. problem: of a damaged file."""

    name: str
    model: str
    variant: str
    state: str
    bytes: int | None
    sha256: str | None
    licences: Licences
    source: str
    path: str | None = None
    problem: str | None = None


def list_weights(notify: Notify = lambda _: None) -> list[Row]:
    """All weights that are known or kept: shipped ones, those the nets know of, the user's own, and
    last those on the hub."""
    rows = list(_shipped_rows())
    kept = {name: look(path) for name, path in kept_paths().items()}
    records: list[Weights] = []
    if importlib.util.find_spec("torch") is None:
        notify("published weights are not listed without torch: pip install 'fathom-depth[torch]'")
    else:
        records = [record for _, found in net_modules() for record in found]
    # not those that take another entry's
    on_hub = {e.name: e for e in ENTRIES if e.hub is not None and e.weights in ("", e.name)}
    for record in records:
        found = kept.pop(record.name, None)
        if found:
            on_hub.pop(record.name, None)
        elif record.name in on_hub:
            continue  # the hub's row says how to get them
        rows.append(_kept_row(record.name, found) if found else _record_row(record))
    rows += [_kept_row(name, found) for name, found in sorted(kept.items())]
    return rows + [_hub_row(entry) for entry in on_hub.values()]


def rows_of(model: str, rows: list[Row]) -> list[Row]:
    """Those of one net, or of the net whose weights it takes; none where none are known.

    Raises `UsageError` with close matches for what is no net with weights.
    """
    known = {row.model for row in rows} | set(RECIPES)
    known |= {e.name for e in ENTRIES if e.weights or e.hub is not None}
    if model not in known:
        raise unknown_name("net with weights", model, sorted(known))
    return [row for row in rows if row.model == weights_of(model)]


def look(path: Path) -> Kept | FathomError:
    """What the header of a file tells, or the error it gives."""
    try:
        return read_header(path)
    except FathomError as error:
        return error


def told(licences: Any) -> Licences:
    """Licences as a file's info has them."""
    parts = licences if isinstance(licences, dict) else {}
    return Licences(*(str(parts.get(part, UNKNOWN)) for part in ("code", "weights", "data")))


def _record_row(record: Weights) -> Row:
    return Row(
        record.name, record.model, record.variant, record.state, record.bytes, record.sha256,
        record.licences, record.source,
    )  # fmt: skip


def _kept_row(name: str, found: Kept | FathomError) -> Row:
    if isinstance(found, FathomError):
        return Row(
            name, "", "", "damaged", None, None, Licences(), "", found.file, problem=str(found)
        )
    about = found.about
    source = about.get("source")
    origin = source if isinstance(source, dict) else {}
    return Row(
        name,
        found.model or UNKNOWN,
        str(about.get("variant") or "your own"),
        "ready",
        found.bytes,
        found.sha256,
        told(about.get("licences")),
        str(origin.get("url") or origin.get("file") or "unknown"),
        str(found.path),
    )


def _hub_row(entry: Entry) -> Row:
    assert entry.hub is not None
    at = Address(entry.hub.repo, entry.hub.revision)
    folder = cached(at)
    code, _, weights = entry.licence.partition("; weights: ")
    return Row(
        entry.name, entry.name, entry.summary, entry.state, entry.hub.megabytes * 10**6 or None,
        None, Licences(code, weights or code, UNKNOWN), f"hub: {at}",
        str(folder) if folder else None,
    )  # fmt: skip


def _shipped_rows() -> Iterator[Row]:
    for name in shipped_models.NAMES:
        if not shipped_models.is_shipped(name):
            continue
        folder = shipped_models.HOME / name
        path = folder / shipped_models.WEIGHTS
        try:
            model = shipped_models.shipped(name)
        except FathomError as error:
            yield Row(
                name, name, "", "damaged", None, None, Licences(), "fathom", str(folder),
                problem=str(error),
            )  # fmt: skip
            continue
        data = str(model.card.get("trained_on", "fathom's procedural scenes"))
        yield Row(
            name, name, "shipped with fathom", "ready", path.stat().st_size,
            model.sha256[shipped_models.WEIGHTS], Licences("Apache-2.0", model.licence, data),
            "fathom", str(path),
        )  # fmt: skip
