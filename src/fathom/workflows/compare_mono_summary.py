"""Mono against stereo in a few sentences, filled from the numbers and no bolder than they are."""

from collections.abc import Mapping

import numpy as np

from fathom.eval.windows import RegionRow
from fathom.workflows.compare_mono_judge import MonoTotals, headline
from fathom.workflows.compare_summary import ranking, times_of
from fathom.workflows.compare_totals import difference, ranked

_NOTABLE = 1.5
"""A region is called weak where the error is this many times that over all, strong where it is
less than one over this."""
_CLEAR = 0.1
"""Relative differences below this are called alike."""
_FEW_PIXELS = 200


def mono_summary(totals: Mapping[str, MonoTotals], failed: Mapping[str, str]) -> list[str]:
    """Sentences: who leads, mono against stereo over all and by region, what each is good and bad
    at, and time. failed: methods that answered on no frame, with the reason."""
    done = {label: t for label, t in totals.items() if t.done}
    chosen = headline(done)
    found = []
    if chosen is None:
        found.append("There is no truth, so the maps are shown and not judged.")
    else:
        key, measure = chosen
        order = ranked(done, key)
        quantity = key.split()[0]
        protocol = "fathom-depth" if quantity == "depth" else "fathom"
        found += ranking(done, order, key, measure, f"[{protocol}, all]", "frame")
        ways = {label: done[label].aligned for label in order}
        found.append(
            "Aligned first: " + "; ".join(f"{label}: {way}" for label, way in ways.items()) + "."
        )
        found += _against(done, key, quantity)
        for label in order:
            found += _of_method(label, done[label].regions(quantity), measure.name)
    found += times_of(done, "frame")
    return found + [f"{label} answered on no frame: {why}." for label, why in failed.items()]


def _against(totals: Mapping[str, MonoTotals], key: str, quantity: str) -> list[str]:
    """The best of either kind against each other, over all and by region."""
    best = {
        task: next(iter(ranked({k: t for k, t in totals.items() if t.task == task}, key)), None)
        for task in ("mono", "stereo")
    }
    mono, stereo = best["mono"], best["stereo"]
    if mono is None or stereo is None:
        return []
    series = [totals[label].series(key) for label in (mono, stereo)]
    both = np.isfinite(series[0]) & np.isfinite(series[1])
    if not both.any():
        return []
    a, b = (float(values[both].mean()) for values in series)
    lead, behind, most = (mono, stereo, b) if a < b else (stereo, mono, a)
    text = f"Mono against stereo: {mono} has {a:.4g}, {stereo} {b:.4g}"
    if min(a, b) > 0:
        text += f", so the error of {behind} is {most / min(a, b):.3g} times that of {lead}"
    rows = {label: totals[label].regions(quantity) for label in (mono, stereo)}
    better: dict[str, list[str]] = {mono: [], stereo: []}
    for name, row in rows[mono].items():
        other = rows[stereo].get(name)
        if name == "all" or other is None or min(row.pixels, other.pixels) < _FEW_PIXELS:
            continue
        if not _certain(totals, mono, stereo, f"{quantity} region {name}"):
            continue
        first = mono if row.error < other.error else stereo
        less, more = sorted((row.error, other.error))
        if more - less > _CLEAR * more:
            better[first].append(f"{name} ({less:.3g} against {more:.3g})")
    parts = [f"{label} is better in {', '.join(names)}" for label, names in better.items() if names]
    return [f"{'; '.join([text, *parts])}."]


def _certain(totals: Mapping[str, MonoTotals], a: str, b: str, key: str) -> bool:
    """Whether a difference is outside the noise, as far as there are enough frames to tell."""
    apart = difference(totals[a].series(key), totals[b].series(key))
    return apart is not None and (apart.low is None or apart.certain)


def _of_method(label: str, rows: Mapping[str, RegionRow], name: str) -> list[str]:
    whole = rows.get("all")
    if whole is None or not np.isfinite(whole.error):
        return []
    judged = {
        k: r for k, r in rows.items()
        if k != "all" and r.pixels >= _FEW_PIXELS and np.isfinite(r.error)
    }  # fmt: skip
    strong = sorted((r.error, k) for k, r in judged.items() if r.error * _NOTABLE < whole.error)
    weak = sorted(
        ((r.error, k) for k, r in judged.items() if r.error > _NOTABLE * whole.error), reverse=True
    )
    parts = []
    for word, found in (("strong in", strong[:3]), ("weak in", weak[:3])):
        if found:
            parts.append(f"{word} {', '.join(f'{k} ({error:.3g})' for error, k in found)}")
    if not parts:
        return []
    return [f"{label}: {'; '.join(parts)}, against {whole.error:.3g} over all ({name} by region)."]
