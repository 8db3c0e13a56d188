"""The page of an adaptation: what came of it, every held-back frame before and after, pictures."""

from collections.abc import Mapping
from typing import Any

from fathom.core.arrays import Array
from fathom.viz.report import Report

_DIGITS = "{:.4g}"


def adapt_report(about: Mapping[str, Any], pictures: Mapping[str, Array]) -> str:
    """One HTML page, nothing outside itself.

    about: the report's JSON values (`fathom.workflows.adapt.Outcome.as_dict`). pictures: frame ->
    RGB figure with its maps before and after.
    """
    kept = about["kept"]
    report = Report(f"Adapting {about['model']}", "kept" if kept else "rolled back")
    report.add_text(
        "The new weights are better on the frames that were held back."
        if kept
        else "Nothing was better on the frames that were held back: the model stays as it was, "
        "and no weights were written."
    )
    pairs = about["pairs"]
    report.add_facts(
        {
            "against before": _DIGITS.format(about["against_before"]),
            "pairs fit": pairs["fit"],
            "left out": len(pairs["left_out"]),
            "held back": len(pairs["held_back"]),
            "steps": about["steps"],
            "stopped": about["stopped"],
        }
    )
    report.section("Held-back frames")
    names = list(about["before"])
    shown = {"mean": about, **{f["name"]: f for f in about["frames"]}}
    decides = about.get("decided_by", ())
    rows = [
        [name, *(_change(frame["before"].get(n), frame["after"].get(n)) for n in names)]
        for name, frame in shown.items()
    ]
    report.add_table(
        ["frame", *names],
        rows,
        f"Each number before and after; smaller is better. What decides: {', '.join(decides)}, "
        "none of which may get worse. The rest is only shown.",
        right=range(1, len(names) + 1),
    )
    for name, picture in pictures.items():
        report.add_picture(picture, name)
    if pairs["left_out"]:
        report.section("Pairs that were left out")
        report.add_table(["pair", "why"], [[p["name"], p["why"]] for p in pairs["left_out"]])
    report.section("Settings")
    report.add_columns({k: about[k] for k in ("options", "recipe") if k in about})
    return report.html()


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "-"
    return f"{_DIGITS.format(before)} to {_DIGITS.format(after)}"
