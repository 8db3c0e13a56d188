"""Depth from one image as pictures and as a report: relative maps, metres, clips."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fathom.core import Camera, Depth, PointCloud, RelativeDepth, View
from fathom.core.arrays import Array, UInt8
from fathom.viz.color import UNKNOWN, Scale, depth_scale, robust_range
from fathom.viz.grid import Panel, grid
from fathom.viz.report import Report
from fathom.viz.text import label_of
from fathom.viz.viewers import MapLayer


def map_scale(values: Array, ambiguity: str | None) -> Scale:
    """The colours of a map: near is warm. ambiguity: None for metres."""
    if ambiguity is None:
        return depth_scale(values)
    low, high = robust_range(values)
    return Scale(low, high, "turbo", reverse=ambiguity != "affine_inverse")


def mono_overview(
    view: View, answer: Depth | RelativeDepth, depth: Depth | None, title: str
) -> UInt8[np.ndarray, "H W 3"]:
    """Image, relative map, metres and confidence, as far as they are there."""
    width, height = view.size
    panels = [Panel(f"Image, {width} x {height} px", view.rgb8)]
    if isinstance(answer, RelativeDepth):
        scale = map_scale(answer.values, answer.ambiguity)
        near = "large is near" if answer.ambiguity == "affine_inverse" else "small is near"
        panels.append(Panel(f"Relative map, no unit, {near}", values=answer.values, scale=scale))
    if depth is not None:
        scale = depth_scale(depth.values)
        label = "Depth in metres, logarithmic colours"
        panels.append(Panel(label, values=depth.values, scale=scale, unit="m"))
    if answer.confidence is not None:
        scale = Scale(0, 1, "viridis")
        panels.append(Panel("Confidence of the model", values=answer.confidence, scale=scale))
    columns = 1 if width > 3 * height else 4 if height > 2 * width else 2
    unknown = 1 - answer.share_known
    return grid(panels, columns, title, [(UNKNOWN, f"unknown ({100 * unknown:.1f} %)")])


def mono_report(
    view: View,
    answer: Depth | RelativeDepth,
    depth: Depth | None,
    camera: Camera | None,
    cloud: PointCloud | None,
    info: Mapping[str, Any],
    overview_image: Array,
) -> str:
    """The report of one image: what the values mean, values under the pointer, 3D view, settings.

    info: what result.json says. camera: of the image, where it is known.
    """
    info = dict(info)
    report = Report(str(info.pop("title")), "fathom depth")
    report.add_findings([{"message": note} for note in info.pop("notes", [])])
    report.add_facts(_headline(view, answer, depth, info))
    report.section("Values under the pointer")
    report.add_map_viewer(view.rgb8, mono_layers(answer, depth), camera=camera, image_name="Image")
    report.section("3D view")
    if cloud is None:
        report.add_text("There is no cloud: points need metres and the focal length of the camera.")
    else:
        report.add_cloud(cloud, "Drag to turn, wheel to zoom, right or shift drag to move.")
    report.section("Overview").add_picture(overview_image, alt="Image and maps of depth")
    _settings(report, info)
    return report.html()


def mono_layers(answer: Depth | RelativeDepth, depth: Depth | None) -> list[MapLayer]:
    """Metres first where there are any, then what the model said, then its confidence."""
    layers = []
    if depth is not None:
        scale = depth_scale(depth.values)
        layers.append(
            MapLayer("Depth", depth.values, scale, "m", 3, law="log", depth=True, sigma=depth.sigma)
        )
    if isinstance(answer, RelativeDepth):
        scale = map_scale(answer.values, answer.ambiguity)
        layers.append(MapLayer("Relative map", answer.values, scale, digits=4))
    if answer.confidence is not None:
        layers.append(MapLayer("Confidence", answer.confidence, Scale(0, 1, "viridis"), bits=8))
    return layers


def clip_report(
    info: Mapping[str, Any], pictures: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]]
) -> str:
    """The report of a clip: flicker before and after, what was held, some frames.

    pictures: name and painted frame beside its image.
    """
    info = dict(info)
    report = Report(str(info.pop("title")), "fathom depth")
    report.add_findings([{"message": note} for note in info.pop("notes", [])])
    flicker = info["flicker"]
    report.section("Flicker").add_text(flicker["definition"])
    report.add_table(
        ("map", "flicker"),
        [("as the model says", flicker["before"]), ("as written", flicker["after"])],
    )
    frames = info.pop("frames", [])
    report.section("Some frames")
    for name, picture in pictures:
        report.add_picture(picture, caption=name)
    report.section("Each frame")
    names = list(frames[0]) if frames else []
    report.add_table([label_of(n) for n in names], [[f.get(n) for n in names] for f in frames])
    _settings(report, info)
    return report.html()


def _settings(report: Report, info: dict[str, Any]) -> None:
    seconds = info.pop("seconds", {})
    tables = {k: v for k, v in info.items() if isinstance(v, Mapping)}
    tables["run"] = {k: v for k, v in info.items() if not isinstance(v, Mapping)}
    report.section("Settings and results")
    report.add_columns({label_of(name): values for name, values in tables.items()})
    report.section("Timings").add_table(
        ("step", "time in ms"), [(label_of(k), round(1000 * v, 1)) for k, v in seconds.items()]
    )


def _headline(
    view: View, answer: Depth | RelativeDepth, depth: Depth | None, info: Mapping[str, Any]
) -> dict[str, str]:
    facts = {
        "image": f"{view.size[0]} x {view.size[1]} px",
        "known": f"{100 * answer.share_known:.1f} %",
    }
    if isinstance(answer, RelativeDepth):
        facts["the model says"] = answer.ambiguity.replace("_", " ")
    if depth is not None and depth.extent is not None:
        facts["depth"] = f"{depth.extent[0]:.3g} to {depth.extent[1]:.3g} m"
    fit = info.get("alignment")
    if fit:
        facts["aligned with"] = f"{fit['anchors']} anchors"
        facts["median residual"] = f"{100 * fit['median_residual']:.1f} %"
    return facts
