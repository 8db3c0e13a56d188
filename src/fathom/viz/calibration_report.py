"""The report of a calibration: is it good enough, why, and what to shoot next."""

from collections.abc import Mapping
from typing import Any

from fathom.core.arrays import Array
from fathom.viz.report import Report

_VERDICT = {
    "good": "Good enough to measure with: every criterion below is met.",
    "usable": "Usable, with a weakness: see the criteria that are not good.",
    "poor": "Not good enough: depth from it will be wrong where a criterion is poor.",
}
_NEXT = {
    "good": "Nothing has to be shot again. Views such as these would make it surer still:",
    "usable": "Add views such as these to the ones there are, and calibrate again; first things "
    "first:",
    "poor": "Add views such as these to the ones there are, and calibrate again, before measuring "
    "anything; first things first:",
}
_WHY = {
    "reprojection RMS": "how far the points lie from where the cameras expect them; high: blur, "
    "a board that is bent or moved, or the wrong lens model",
    "row error": "matchers search along rows: half a pixel off costs matches and adds noise",
    "views kept": "fewer determine the lens poorly",
    "common view": "where no board was, the lens is a guess, and so is depth there",
    "largest angle": "a board that faces the camera says nothing about the focal length",
    "focal length": "the same share in every depth",
    "baseline": "the same share in every depth; the board's true square comes on top",
}


def calibration_report(info: Mapping[str, Any], pictures: Mapping[str, Array]) -> str:
    """One HTML page. info: what result.json says. pictures: RGB uint8 arrays by file name."""
    report = Report(str(info["title"]), "fathom calibrate")
    report.add_findings(_findings(info))
    report.add_facts(_headline(info))
    report.section("Is it good enough?")
    report.add_text(_VERDICT[info["level"]])
    report.add_table(
        ("criterion", "value", "good", "usable", "level", "why it matters"),
        [_criterion(c) for c in info["criteria"]],
    )
    report.section("What to shoot next")
    if info["shoot_next"]:
        report.add_text(_NEXT[info["level"]])
        report.add_table(("add",), [(line,) for line in info["shoot_next"]])
    else:
        report.add_text("Nothing is missing: places, slants and distances are all there.")
    report.section("Coverage of the images")
    for side in ("left", "right"):
        report.add_picture(pictures[f"coverage_{side}.png"], alt=f"coverage of the {side} image")
    report.section("Rectified pair")
    report.add_picture(pictures["rectified.png"], alt="rectified pair with lines along its rows")
    report.section("Residuals")
    report.add_text(
        "Arrows from where a point was seen to where the calibration expects it. They should point "
        "anywhere; a common direction in one corner means that the lens model does not fit there."
    )
    for side in ("left", "right"):
        report.add_picture(pictures[f"residuals_{side}.png"], alt=f"residuals, {side} image")
    report.section("Views")
    _views(report, info)
    report.add_picture(pictures["corners.png"], alt="points found in the views")
    report.section("Numbers")
    report.add_columns(
        {
            "left camera": info["left"],
            "right camera": info["right"],
            "rig": {
                "baseline_m": info["baseline_m"],
                "baseline 1 sigma (m)": info["baseline_sigma_m"],
                "angle between the cameras (deg)": info["angle_between_deg"],
                "translation_m": info["translation_m"],
            },
            "board": info["board"],
            "settings": info["settings"],
            "versions": info["versions"],
        }
    )
    return report.html()


def _findings(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [{"code": "implausible", "message": note} for note in info["notes"]]
    poor = [c["name"] for c in info["criteria"] if c["level"] == "poor"]
    if poor:
        found.append({"code": "poor", "message": f"not good enough: {', '.join(poor)}"})
    return found


def _headline(info: Mapping[str, Any]) -> dict[str, str]:
    sigma = info["left"]["sigma"].get("fx")
    plus = "" if sigma is None else f" ± {sigma:.2f}"
    baseline, error = 1000 * info["baseline_m"], 1000 * info["baseline_sigma_m"]
    return {
        "verdict": info["level"],
        "reprojection RMS": f"{info['rms_px']:.3f} px",
        "row error": f"{info['row_rms_px']:.3f} px",
        "focal length": f"{info['left']['fx']:.2f}{plus} px",
        "baseline": f"{baseline:.2f} ± {error:.2f} mm",
        "views": f"{len(info['views']['kept'])} of {info['views']['looked_at']}",
    }


def _criterion(values: Mapping[str, Any]) -> tuple[str, ...]:
    sign = "≥" if values["better"] == "more" else "≤"
    unit = values["unit"]
    return (
        values["name"],
        f"{values['value']:.3g} {unit}".strip(),
        f"{sign} {values['good']:.3g} {unit}".strip(),
        f"{sign} {values['usable']:.3g} {unit}".strip(),
        values["level"],
        next((why for name, why in _WHY.items() if values["name"].startswith(name)), ""),
    )


def _views(report: Report, info: Mapping[str, Any]) -> None:
    headers = ("view", "RMS, px", "left", "right", "rows", "tilt, deg", "distance, m", "read")
    rows = [
        (
            view["name"],
            round(view["rms_px"], 3),
            round(view["left_rms_px"], 3),
            round(view["right_rms_px"], 3),
            None if view["row_rms_px"] is None else round(view["row_rms_px"], 3),
            round(view["tilt_deg"], 1),
            round(view["distance_m"], 3),
            "turned in the right image" if view["turned"] else "",
        )
        for view in info["views"]["kept"]
    ]
    report.add_table(headers, rows)
    single = [
        (v["name"], f"{v['camera']} camera only", round(v["rms_px"], 3))
        for v in info["views"]["one_camera"]
    ]
    if single:
        report.add_text(
            "Views with the board in one image only say nothing about the rig, but help that "
            "camera's lens and focal length:"
        )
        report.add_table(("view", "seen by", "RMS, px"), single)
    dropped = [(d["name"], d["code"], d["reason"]) for d in info["views"]["left_out"]]
    if dropped:
        report.add_table(("left out", "code", "why"), dropped)
