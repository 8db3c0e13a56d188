"""The report of one-view methods against stereo, from what result.json says and the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

_UNIT_TEXT = {"depth": "AbsRel", "disparity": "EPE px"}


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One frame of the report. title: name and rank. figure: the bytes of a JPEG. caption: how the
    maps were fitted in it. sheet: for the viewer, where all have a disparity."""

    title: str
    figure: bytes
    caption: str
    sheet: Sheet | None


def compare_mono_report(info: Mapping[str, Any], frames: Sequence[ShownFrame]) -> str:
    """The page. info: as `fathom compare --mono` writes it to result.json. Missing numbers are
    written as "-"."""
    report = Report(str(info["title"]), "fathom compare --mono")
    report.add_findings(_findings(info))
    report.add_facts(_facts(info))
    report.section("In short")
    report.add_list(info["summary"])
    if info["scores"]:
        report.section("Scores")
        _scores(report, info)
        report.section("Structural similarity")
        _similarity(report, info)
    report.section("Properties")
    _properties(report, info)
    if info["groups"]:
        _groups(report, info)
    if info["regions"]:
        report.section("Strengths and weaknesses by region")
        _regions(report, info)
    report.section("Maps beside each other")
    if not frames:
        report.add_text("No pictures were asked for (--pictures 0).")
    for one in frames:
        report.add_picture(one.figure, f"{one.title}. {one.caption}".strip())
    sheets = [one.sheet for one in frames if one.sheet is not None]
    if sheets:
        report.section("Values under the pointer")
        report.add_compare_viewer(
            sheets,
            "Disparities, after the alignment above; rounded to 1/8 px in the viewer, not in the "
            "tables. Arrow keys change picture and method, digits the map.",
        )
    report.section("Time, memory, settings")
    _costs(report, info)
    tables = {label: m["parameters"] for label, m in info["methods"].items() if m["parameters"]}
    run = {**info["source"], **info["options"]}
    report.add_columns({**tables, "run": run, "versions": info["versions"]})
    return report.html()


def _findings(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = common_findings(info, "frames", "the ranking below")
    return found + [{"message": note} for note in info["notes"]]


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    tasks = [m["task"] for m in info["methods"].values()]
    facts = {
        "frames": str(info["samples"]),
        "with truth": str(info["with_truth"]),
        "mono": str(tasks.count("mono")),
        "stereo": str(tasks.count("stereo")),
        "relative depths aligned to": info["options"]["align"],
    }
    if info["failures"]:
        facts["failures"] = str(len(info["failures"]))
    return facts


def _scores(report: Report, info: Mapping[str, Any]) -> None:
    for quantity, tables in info["scores"].items():
        protocol = info["protocols"][quantity]
        text = (
            f"{quantity.capitalize()}, protocol {protocol['name']} ({protocol['rules']}), after "
            "what the column `aligned` says was done to each method's maps. Numbers of aligned and "
            "of unaligned maps are not the same kind of number: an alignment to the truth gives "
            "away scale and shift. The best of a column is marked."
        )
        if quantity == "disparity" and "depth" not in info["scores"]:
            text += (
                " There is no calibration, so the frames are compared in disparity, without metres."
            )
        report.add_text(text)
        for mask, rows in tables.items():
            _score_table(report, info, f"{quantity}, mask {mask}", protocol["metrics"], rows)


def _score_table(
    report: Report,
    info: Mapping[str, Any],
    caption: str,
    metrics: Sequence[Mapping[str, Any]],
    rows: Mapping[str, Any],
) -> None:
    headers = ["method", "aligned", "frames", "known"]
    headers += metric_heads(metrics)
    values = [[row["values"].get(m["name"]) for m in metrics] for row in rows.values()]
    cells = [
        [
            *(label, info["methods"][label]["aligned"], row["images"]),
            f"{100 * row['known']:.1f} %",
            *(_number(v, m["unit"]) for v, m in zip(line, metrics, strict=True)),
        ]
        for (label, row), line in zip(rows.items(), values, strict=True)
    ]
    ways = [m["better"] for m in metrics]
    report.add_table(
        headers, cells, caption, best=best_cells(values, ways, 4), right=range(2, len(headers))
    )


def _similarity(report: Report, info: Mapping[str, Any]) -> None:
    report.add_text(
        "SSIM over all windows of 7x7 pixels that are known in map and truth. Range of the truth: "
        "both maps in metres or pixels, data range from the truth, the same for every method. "
        "8-bit: as it is commonly done with saved pictures, each map stretched over 0 to 255 by "
        "its own extremes and rounded, data range 255; that forgives any scale and shift, and one "
        "wild pixel darkens all others. Most windows of a depth map are smooth, and there SSIM in "
        "the range of the truth is high even for a map without content: read it beside the errors. "
        "Neither stands for the other."
    )
    names = list(next(iter(info["ssim"].values()))) if info["ssim"] else []
    rows = [
        [label, info["methods"][label]["aligned"], *(_number(row[n], "") for n in names)]
        for label, row in info["ssim"].items()
    ]
    values = [[row[n] for n in names] for row in info["ssim"].values()]
    marked = best_cells(values, ["higher"] * len(names), 2)
    heads = [n if n.endswith("8-bit") else f"{n}, range of the truth" for n in names]
    report.add_table(
        ["method", "aligned", *heads], rows, "SSIM, mean of the frames; 1 = alike", best=marked,
        right=range(2, len(heads) + 2),
    )  # fmt: skip


def _properties(report: Report, info: Mapping[str, Any]) -> None:
    labels = [label for label, m in info["methods"].items() if m["samples"]]
    rows, marked = [], set()
    for i, row in enumerate(info["properties"]):
        values = [row["values"].get(label) for label in labels]
        shown = [_number(v, row["unit"]) for v in values]
        if row["why"]:
            shown = ["not measured"] * len(labels)
        better = f"{row['better']} is better" if not row["why"] else ""
        unit = f" ({row['unit']})" if row["unit"] and not row["why"] else ""
        told = f"not measured: {row['why']}" if row["why"] else f"{row['text']}; {better}"
        rows.append([f"{row['name']}{unit}", *shown, told])
        marked |= {(i, j + 1) for j in best(values, row["better"])}
    report.add_table(
        ["property", *labels, "what was measured"], rows,
        "From the measurements of this comparison alone, after the alignment of each method; the "
        "best of a row is marked",
        best=marked, right=range(1, len(labels) + 1),
    )  # fmt: skip


def _groups(report: Report, info: Mapping[str, Any]) -> None:
    labels = [label for label, m in info["methods"].items() if m["samples"]]
    rows, marked = [], set()
    for i, (name, group) in enumerate(info["groups"].items()):
        values = [group["values"].get(label) for label in labels]
        rows.append([name, group["frames"], *(_number(v, "") for v in values)])
        marked |= {(i, j + 2) for j in best(values, "lower")}
    report.add_table(
        ["data set or folder", "frames", *labels], rows,
        f"{info['headline']} by group, mean of frames", best=marked,
        right=range(1, len(labels) + 2),
    )  # fmt: skip


def _regions(report: Report, info: Mapping[str, Any]) -> None:
    report.add_text(
        "Regions overlap. near and far are the nearest and farthest quarter of the pixels with "
        "truth; edges, thin and occluded come from the truth, "
        f"{REGIONS}. Over the pixels of all frames; errors over the known ones."
    )
    for quantity, regions in info["regions"].items():
        labels = list(next(iter(regions.values())))
        whole = max(row["pixels"] for row in regions["all"].values())
        rows, marked = [], set()
        for i, (name, region) in enumerate(regions.items()):
            pixels = max(row["pixels"] for row in region.values())
            errors = [region[x]["error"] if x in region else None for x in labels]
            wrong = [region[x]["bad"] if x in region else None for x in labels]
            cells = [*(_number(v, "") for v in errors), *(_number(v, "%") for v in wrong)]
            rows.append([name, f"{100 * pixels / max(whole, 1):.1f} %", *cells])
            for start, line in ((2, errors), (2 + len(labels), wrong)):
                marked |= {(i, start + j) for j in best(line, "lower")}
        limit = "25 %" if quantity == "depth" else f"{info['options']['threshold']:g} px"
        headers = ["region", "of the truth", *(f"{x}: {_UNIT_TEXT[quantity]}" for x in labels)]
        headers += [f"{x}: off by more than {limit} or unknown, %" for x in labels]
        report.add_table(
            headers, rows, f"{quantity.capitalize()} by region", best=marked,
            right=range(1, len(headers)),
        )  # fmt: skip
        groups = [
            (name, [region[x]["bad"] if x in region else None for x in labels])
            for name, region in regions.items()
        ]
        report.add_bars(groups, labels)


def _costs(report: Report, info: Mapping[str, Any]) -> None:
    rows = [
        [
            *(label, m["task"], m["samples"], m["aligned"], _number(m["seconds_median"], "s")),
            memory(m["memory_mb"]),
        ]
        for label, m in info["methods"].items()
    ]
    report.add_table(
        ["method", "task", "frames", "aligned", "seconds (median of a frame)", "peak memory"],
        rows,
        "On the clock of this machine, after loading; memory: the most that a call added to the "
        "process",
        right=(2, 4, 5),
    )


def _number(value: float | None, unit: str) -> str:
    return number(value, unit, ".4g")
