"""A comparison in a few sentences, filled from its numbers and no bolder than they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fathom.eval.measures import Measure
from fathom.eval.protocol import Protocol
from fathom.workflows.compare_totals import (
    LEAST_PAIRS,
    HasMedians,
    HasSeries,
    MethodTotals,
    difference,
    ranked,
)


@dataclass(frozen=True)
class _Named:
    """A number that is no protocol's metric, written as one."""

    name: str
    unit: str
    better: str

    def shown(self, value: float) -> str:
        return f"{value:.3f} {self.unit}".rstrip()


_NOTABLE = 1.5
"""A region is called a weakness where errors are this many times as frequent as over all."""
_CLEAR = 0.1
"""Without enough pairs for an interval, relative differences below this are called alike."""
_FEW_PIXELS = 200
_COST = _Named("inconsistency", "", "lower")


def summary(totals: Mapping[str, MethodTotals], rules: Protocol, threshold: float) -> list[str]:
    """Sentences: which method is best and by how much, strengths and weaknesses of each by region,
    and time. threshold: of the regions, pixels."""
    found = _best(totals, rules)
    for label in totals:
        found += _of_method(label, totals, threshold)
    found += times_of(totals, "pair")
    return found


def _best(totals: Mapping[str, MethodTotals], rules: Protocol) -> list[str]:
    measure = rules.measures[0]
    order = ranked(totals, "headline", -1 if measure.better == "higher" else 1)
    if order:
        mask = next((m for m in rules.masks if any(m in t.masks() for t in totals.values())), "all")
        found = ranking(totals, order, "headline", measure, f"[{rules.name}, {mask}]")
        return found + _other_masks(totals, rules, order[0])
    order = ranked(totals, "cost")
    if not order:
        return ["There is neither truth nor consistency to judge by."]
    sentences = ranking(totals, order, "cost", _COST, "[consistency, all pixels]")
    told = "Without truth, methods are judged by whether both views and both images tell the same "
    return [*sentences, told + "story: a map can be consistent and still wrong."]


def _other_masks(totals: Mapping[str, MethodTotals], rules: Protocol, first: str) -> list[str]:
    """Masks under which another method leads than under the first; its lead may be noise."""
    measure = rules.measures[0]
    sign = -1 if measure.better == "higher" else 1
    found = []
    for mask in rules.masks[1:]:
        tables = {label: t.totals(mask) for label, t in totals.items()}
        values = {label: t.published[measure.name] for label, t in tables.items() if t is not None}
        order = sorted(values, key=lambda label: sign * values[label])
        if order and first in values and sign * values[order[0]] < sign * values[first]:
            best = f"{order[0]} leads with {measure.shown(values[order[0]])}"
            mine = f"{first} has {measure.shown(values[first])}"
            found.append(f"Under the mask {mask} {best}, {mine} [{rules.name}, {mask}].")
    return found


def ranking(
    totals: Mapping[str, HasSeries],
    order: Sequence[str],
    key: str,
    measure: Measure | _Named,
    protocol: str,
    what: str = "pair",
) -> list[str]:
    """Who leads by `key`, and how far the others are behind, with an interval where there are
    enough samples. order: labels, best first. what: what a sample is called."""
    first = order[0]
    series = {label: totals[label].series(key) for label in order}
    common = np.logical_and.reduce([np.isfinite(v) for v in series.values()])
    count = int(common.sum())
    if count == 0:
        return [f"No {what} was done by all methods, so they cannot be ranked."]

    def shown(label: str) -> str:
        return measure.shown(float(series[label][common].mean()))

    word = "highest" if measure.better == "higher" else "lowest"
    many = f"{what}s"
    pairs = f"On the one {what}" if count == 1 else f"Over {count} {many} (mean of {many})"
    sentences = [f"{pairs}, {first} has the {word} {measure.name}: {shown(first)} {protocol}."]
    for label in order[1:]:
        apart = difference(series[label], series[first])
        assert apart is not None
        text = f"{label}: {shown(label)}, {_amount(abs(apart.mean), measure)} behind {first}"
        if apart.low is None or apart.high is None:
            sentences.append(f"{text}.")
            continue
        low, high = sorted((apart.low, apart.high), key=abs)
        if apart.certain:
            span = f"{_amount(abs(low), measure)} to {_amount(abs(high), measure)}"
            sentences.append(f"{text} (bootstrap over {many}, 95 %: {span}).")
        else:
            sentences.append(
                f"{text}, which is within the noise of these {many} (bootstrap over {many}, 95 %: "
                f"{_amount(apart.low, measure)} to {_amount(apart.high, measure)})."
            )
    if len(order) > 1 and count < LEAST_PAIRS:
        these = f"One {what} is" if count == 1 else f"{count} {many} are"
        sentences.append(f"{these} too few to tell differences from noise.")
    return sentences


def _amount(value: float, measure: Measure | _Named) -> str:
    if measure.unit == "%":
        return f"{100 * value:.2f} points"
    return f"{value:.3f} {measure.unit}".rstrip()


def _of_method(label: str, totals: Mapping[str, MethodTotals], threshold: float) -> list[str]:
    """Where a method is best of all, and where it is worst compared with itself and with all."""
    mine = totals[label].regions()
    whole = mine.get("all")
    if whole is None or not whole.pixels:
        return []
    tables = {other: t.regions() for other, t in totals.items()}
    best, worst = [], []
    for name, region in mine.items():
        if name == "all" or region.pixels < _FEW_PIXELS:
            continue
        rivals = [t[name].bad for o, t in tables.items() if o != label and name in t]
        if not rivals:
            continue
        if region.bad < min(rivals) and _clear(label, name, totals, region.bad, min(rivals)):
            best.append(f"{name} ({region.bad:.1%})")
        elif region.bad > max(rivals) and _clear(label, name, totals, region.bad, max(rivals)):
            worst.append(f"{name} ({region.bad:.1%})")
    heavy = sorted(
        (
            (region.bad, name)
            for name, region in mine.items()
            if name != "all" and region.pixels >= _FEW_PIXELS and region.bad > _NOTABLE * whole.bad
        ),
        reverse=True,
    )[:3]
    parts = []
    if best:
        parts.append(f"best of all in {', '.join(best)}")
    if worst:
        parts.append(f"worst of all in {', '.join(worst)}")
    if heavy:
        weak = ", ".join(f"{name} ({bad:.1%})" for bad, name in heavy)
        parts.append(f"its own weak places are {weak}, against {whole.bad:.1%} over all")
    if not parts:
        return []
    return [
        f"{label}: {'; '.join(parts)} (share off by more than {threshold:g} px or unknown; all "
        "pixels with truth)."
    ]


def _clear(
    label: str, region: str, totals: Mapping[str, MethodTotals], mine: float, other: float
) -> bool:
    """Whether a method differs from every other in a region by more than noise."""
    series = totals[label].series(f"region {region}")
    for rival, t in totals.items():
        if rival == label:
            continue
        apart = difference(series, t.series(f"region {region}"))
        if apart is not None and apart.low is not None and not apart.certain:
            return False
    return abs(mine - other) > _CLEAR * max(mine, other)


def times_of(totals: Mapping[str, HasMedians], noun: str) -> list[str]:
    """Which method is the fastest and which the slowest, if there are two. noun: of one input."""
    medians = {label: t.median("seconds") for label, t in totals.items()}
    known = {label: value for label, value in medians.items() if value is not None}
    if len(known) < 2:
        return []
    order = sorted(known, key=lambda label: known[label])
    first, last = order[0], order[-1]
    ratio = known[last] / max(known[first], 1e-9)
    text = f"{first} is the fastest (median {known[first]:.3g} s a {noun})"
    return [f"{text}; {last} takes {ratio:.1f} times as long ({known[last]:.3g} s)."]
