"""The report of a comparison, from what result.json says and the encoded pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from fathom.viz.compare_parts import (
    REGIONS,
    best,
    best_cells,
    common_findings,
    memory,
    metric_heads,
    number,
)
from fathom.viz.compare_viewer import Sheet
from fathom.viz.report import Report

_HEADLINE = 7


def compare_report(info: Mapping[str, Any], sheets: Sequence[Sheet]) -> str:
    """The page. info: as `fathom compare` writes it to result.json. sheets: pictures, in order.

    Missing numbers are written as "-".
    """
    labels = list(info["methods"])
    report = Report(str(info["title"]), "fathom compare")
    report.add_findings(_findings(info))
    report.add_facts(_facts(info))
    report.section("In short")
    report.add_list(info["summary"])
    if info["scores"]:
        report.section("Scores")
        _score_tables(report, info)
    report.section("Time and memory")
    _cost_table(report, info)
    report.section("Pictures")
    if sheets:
        report.add_compare_viewer(sheets, _picture_caption(info, sheets))
    else:
        report.add_text("No pictures were asked for (--pictures 0).")
    if info["regions"]:
        report.section("Where each fails")
        _region_table(report, info, labels)
    if info["consistency"]:
        report.section("Consistency, without truth")
        _consistency_table(report, info["consistency"])
    report.section("Settings")
    tables = {label: method["parameters"] for label, method in info["methods"].items()}
    report.add_columns({**tables, "run": _run(info), "versions": info["versions"]})
    return report.html()


def _findings(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = common_findings(info, "pairs", "the ranking above")
    for mask, rows in info["scores"].items():
        for label, row in rows.items():
            if row["images_with_notes"]:
                found.append(
                    {
                        "code": "check",
                        "message": f"{label}, {mask}, {row['images_with_notes']} pairs: "
                        f"{row['first_note']}",
                    }
                )
    found += [{"message": note} for note in info["notes"]]
    return found


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"pairs": str(info["samples"]), "with truth": str(info["with_truth"])}
    if info["scores"]:
        facts["protocol"] = info["protocol"]["name"]
    facts["methods"] = str(len(info["methods"]))
    if info["failures"]:
        facts["failures"] = str(len(info["failures"]))
    return facts


def _score_tables(report: Report, info: Mapping[str, Any]) -> None:
    protocol = info["protocol"]
    metrics = protocol["metrics"]
    report.add_text(
        f"Protocol {protocol['name']}: {protocol['rules']}. Source: {protocol['source']}. "
        "The best of a column is marked. Shares in %, lengths in pixels or metres as stated."
    )
    for mask, rows in info["scores"].items():
        for start in range(0, len(metrics), _HEADLINE + 3):
            part = metrics[start : start + _HEADLINE + 3]
            part = [m for m in part if any(m["name"] in r["values"] for r in rows.values())]
            if part:
                more = "" if start == 0 else ", further metrics"
                caption = f"{protocol['name']}, mask {mask}{more}"
                ssim = info["ssim"] if start == 0 and mask == next(iter(info["scores"])) else {}
                _score_table(report, caption, part, rows, ssim)


def _score_table(
    report: Report,
    caption: str,
    metrics: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Any],
    ssim: Mapping[str, Any],
) -> None:
    headers = ["method", "pairs", "known"]
    headers += metric_heads(metrics)
    values = [[row["values"].get(m["name"]) for m in metrics] for row in rows.values()]
    ways = [m["better"] for m in metrics]
    if ssim:
        ranges = [row["data_range_px"] for row in ssim.values()]
        left_out = max(row["left_out"] for row in ssim.values())
        caption += (
            f"; SSIM over all pixels with truth, data range {ranges[0]:.4g} px"
            f"{' (mean)' if max(row['images'] for row in rows.values()) > 1 else ''}, up to "
            f"{left_out:.1%} of the windows left out as unknown"
        )
        headers.append("SSIM")
        ways.append("higher")
        for label, line in zip(rows, values, strict=True):
            line.append(ssim[label]["mean"] if label in ssim else None)
    units = [*(m["unit"] for m in metrics), *([""] if ssim else [])]
    cells = []
    for (label, row), line in zip(rows.items(), values, strict=True):
        numbers = [number(v, unit) for v, unit in zip(line, units, strict=True)]
        cells.append([label, row["images"], f"{100 * row['known']:.1f} %", *numbers])
    report.add_table(
        headers, cells, caption, best=best_cells(values, ways, 3), right=range(2, len(headers))
    )


def _cost_table(report: Report, info: Mapping[str, Any]) -> None:
    rows, values = [], []
    for label, m in info["methods"].items():
        values.append([m["seconds_median"], m["mpx_per_second"], m["memory_mb"]])
        rows.append(
            [
                label,
                m["samples"],
                number(m["seconds_median"], "s"),
                number(m["mpx_per_second"], ""),
                memory(m["memory_mb"]),
            ]
        )
    ways = ("lower", "higher", "lower")
    marked = best_cells(values, ways, 2)
    options = info["options"]
    done = [name for name in ("fill", "confidence") if options[name]]
    what = f"with {' and '.join(done)}" if done else "matching alone"
    headers = ["method", "pairs", "time (median of a pair)", "Mpx a second", "peak memory"]
    caption = (
        f"On the clock of this machine, {what}, after loading; memory: the most that a call added "
        "to the process"
    )
    report.add_table(headers, rows, caption, best=marked, right=range(1, 5))


def _region_table(report: Report, info: Mapping[str, Any], labels: Sequence[str]) -> None:
    limit = info["threshold_px"]
    regions = info["regions"]
    whole = max(row["pixels"] for row in regions["all"].values())
    report.add_text(
        f"Share of the pixels with truth that are off by more than {limit:g} px or unknown, over "
        "the pixels of all pairs; regions overlap. edges, thin, occluded, near and far come from "
        "the truth (or from masks of the data set), "
        f"{REGIONS}."
    )
    rows, values = [], []
    for name, region in regions.items():
        pixels = max(row["pixels"] for row in region.values())
        bad = [region[x]["bad"] if x in region else None for x in labels]
        errors = [region[x]["epe"] if x in region else None for x in labels]
        values.append([*bad, *errors])
        rows.append(
            [
                name,
                f"{100 * pixels / max(whole, 1):.1f} %",
                *(number(v, "%") for v in bad),
                *(number(v, "px") for v in errors),
            ]
        )
    marked = set()
    count = len(labels)
    for i, line in enumerate(values):
        for start in (0, count):
            found = best(line[start : start + count], "lower")
            marked |= {(i, start + j + 2) for j in found}
    headers = ["region", "of the truth", *(f"{x}: bad-{limit:g} %" for x in labels)]
    headers += [f"{x}: EPE px" for x in labels]
    known = ", ".join(f"{x} {100 * r['known']:.1f} %" for x, r in regions["all"].items())
    caption = (
        f"All pixels with truth; unknown = wrong for bad-{limit:g}, EPE over the known ones "
        f"(known: {known})"
    )
    report.add_table(headers, rows, caption, best=marked, right=range(1, len(headers)))
    groups = [(name, line[:count]) for name, line in zip(regions, values, strict=True)]
    report.add_bars(groups, labels)


def _consistency_table(report: Report, consistency: Mapping[str, Any]) -> None:
    names = ("inconsistency", "photometric", "left-right", "measured")
    report.add_text(
        "Filled pixels are left out. inconsistency, 0 to 1: how much both maps and both images "
        "contradict each other, 1/2 where nothing is known. photometric: mean correlation, -1 to "
        "1, of the 5x5 windows of both images at the match. left-right: share of the pixels known "
        f"in both views' maps that differ by more than {consistency['agree_px']:g} px. measured: "
        "share of all pixels with a value that was not filled in. No truth is used: a consistent "
        "map can be wrong, for example on a repetitive pattern."
    )
    rows = consistency["methods"]
    units = ("", "", "%", "%")
    ways = ("lower", "higher", "lower", "higher")
    cells = [
        [label, *(number(row[n], unit) for n, unit in zip(names, units, strict=True))]
        for label, row in rows.items()
    ]
    marked = best_cells([[row[name] for name in names] for row in rows.values()], ways, 1)
    headers = ["method", "inconsistency", "photometric", "left-right %", "measured %"]
    report.add_table(headers, cells, "Mean of the pairs", best=marked, right=range(1, 5))


def _picture_caption(info: Mapping[str, Any], sheets: Sequence[Sheet]) -> str:
    size = sum(one.size for one in sheets) / 1e6
    chosen = (
        "all pairs, worst first"
        if len(sheets) == info["samples"]
        else f"{len(sheets)} of {info['samples']} pairs: worst, middle and best, worst first"
    )
    return (
        f"{chosen}. The pictures take {size:.1f} MB of this page; disparities are rounded to "
        "1/8 px in them, not in the tables. Arrow keys change picture and method, digits the map."
    )


def _run(info: Mapping[str, Any]) -> dict[str, Any]:
    return {**info["source"], **info["options"], "threshold_px": info["threshold_px"]}
