"""The protocols of the field by name.

What each rule rests on stands in its `source`; what a benchmark's server does and its published
code does not show is not claimed. `table()` is the list in docs/protocols.md.
"""

from fathom.core.errors import unknown_name
from fathom.eval.protocol import Crop, Protocol

GARG_CROP = Crop(0.40810811, 0.99189189, 0.03594771, 0.96405229)
"""Garg et al., ECCV 2016: rows 153..371, columns 44..1197 of 375x1242."""
EIGEN_KITTI_CROP = Crop(0.3324324, 0.91351351, 0.0359477, 0.96405229)
"""Found by the authors of monodepth by trial, to reproduce Eigen et al., NIPS 2014."""
EIGEN_NYU_CROP = Crop(45, 471, 41, 601, size=(480, 640))
"""Where NYU's depth is valid after projection (crop of Eigen et al., NIPS 2014)."""

_DEPTH_METRICS = (
    "abs-rel",
    "sq-rel",
    "rmse",
    "rmse-log",
    "log10",
    "silog",
    "delta-1",
    "delta-2",
    "delta-3",
    "mae",
    "mse",
)
_RANKED = ("a50", "a90", "a95", "a99")

_PROTOCOLS = (
    Protocol(
        "fathom",
        "disparity",
        "Ours: every metric, all pixels with truth, nothing left out",
        "docs/protocols.md",
        (
            *("bad-2", "bad-0.5", "bad-1", "bad-3", "bad-4", "epe", "rms", "d1", *_RANKED),
            *("complete", "boundary-f1", "flying", "planarity", "auc-1", "ause-1", "ece"),
        ),
        masks=("all", "nonocc", "occluded"),
        mean="images",
    ),
    Protocol(
        "fathom-depth",
        "depth",
        "Ours in metres: every metric, all pixels with truth, no cap, no alignment",
        "docs/protocols.md",
        (*_DEPTH_METRICS, "complete", "boundary-f1", "sigma-rms", "sigma-1", "sigma-2", "sigma-3"),
        masks=("all", "nonocc"),
    ),
    Protocol(
        "middlebury-v3",
        "disparity",
        "Middlebury evaluation 3 at the truth's resolution; non-occluded by default",
        "MiddEval3 SDK, evaldisp.cpp ('totbad' and 'avgErr'); Scharstein et al., GCPR 2014",
        ("bad-2", "bad-0.5", "bad-1", "bad-4", "epe", "rms", *_RANKED),
        masks=("nonocc", "all"),
        clip=True,
        enlarge=(1, 2, 4),
    ),
    Protocol(
        "middlebury-v2",
        "disparity",
        "Middlebury 2001 and evaluation 2: bad-1 non-occluded, all, near discontinuities",
        "Scharstein and Szeliski, IJCV 2002, section 5.1 (eval_bad_thresh 1)",
        ("bad-1", "bad-0.5", "bad-2", "rms"),
        masks=("nonocc", "all", "disc"),
    ),
    Protocol(
        "kitti-2012",
        "disparity",
        "KITTI 2012: share of errors above 3 px, out-noc and out-all",
        "KITTI stereo 2012 devkit, evaluate_stereo.cpp; Geiger et al., CVPR 2012",
        ("bad-3", "bad-2", "bad-4", "bad-5", "epe"),
        masks=("nonocc", "all"),
        unknown="filled",
    ),
    Protocol(
        "kitti-2015",
        "disparity",
        "KITTI 2015: D1 of background, foreground and all, over 3 px and over 5 %",
        "KITTI scene flow 2015 devkit, evaluate_scene_flow.cpp; Menze and Geiger, CVPR 2015",
        ("d1", "epe"),
        masks=(
            *("all", "background", "foreground"),
            *("nonocc", "nonocc+background", "nonocc+foreground"),
        ),
        unknown="filled",
        mean="pixels",
    ),
    Protocol(
        "eth3d",
        "disparity",
        "ETH3D low-resolution two-view: bad-1 over the known pixels only, coverage beside it",
        "ETH3D two-view-evaluation, main.cc; Schoeps et al., CVPR 2017",
        ("bad-1", "bad-0.5", "bad-2", "bad-4", "epe", "rms", *_RANKED),
        masks=("nonocc", "all"),
        unknown="ignored",
    ),
    Protocol(
        "sceneflow",
        "disparity",
        "SceneFlow test set: EPE of truths below 192 px",
        "PSMNet, main.py (test); RAFT-Stereo, evaluate_stereo.py; metrics of GC-Net, ICCV 2017",
        ("epe", "bad-1", "bad-3", "bad-5", "rms", "d1"),
        disparity_cap=192,
    ),
    Protocol(
        "nyuv2-eigen",
        "depth",
        "NYU Depth V2, Eigen's 654 test images and crop, up to 10 m",
        "BTS, bts_eval.py; Marigold, nyu_dataset.py; Eigen et al., NIPS 2014",
        _DEPTH_METRICS,
        depth_range=(1e-3, 10.0),
        clip=True,
        crop=EIGEN_NYU_CROP,
    ),
    Protocol(
        "kitti-eigen",
        "depth",
        "KITTI, Eigen's split and crop, up to 80 m",
        "monodepth, utils/evaluate_kitti.py (eigen_crop); Eigen et al., NIPS 2014",
        _DEPTH_METRICS,
        depth_range=(1e-3, 80.0),
        clip=True,
        crop=EIGEN_KITTI_CROP,
    ),
    Protocol(
        "kitti-eigen-garg",
        "depth",
        "KITTI, Eigen's split with Garg's crop, up to 80 m",
        "monodepth2, evaluate_depth.py; Garg et al., ECCV 2016",
        _DEPTH_METRICS,
        depth_range=(1e-3, 80.0),
        clip=True,
        crop=GARG_CROP,
    ),
    Protocol(
        "affine-invariant",
        "depth",
        "Scale and shift fitted in the space the estimate names, up to 80 m",
        "MiDaS (Ranftl et al., PAMI 2022, eq. 3); Marigold, script/depth/eval.py",
        ("abs-rel", "delta-1", "delta-2", "delta-3", "rmse", "log10", "silog"),
        depth_range=(1e-3, 80.0),
        clip=True,
        alignment="as-predicted",
    ),
)


def protocols() -> tuple[Protocol, ...]:
    """All of them, in the order of the table."""
    return _PROTOCOLS


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    >>> protocol("kitti-2015").metrics[0]
    'd1'

    Raises `UsageError` with close matches for an unknown name.
    """
    for found in _PROTOCOLS:
        if found.name == name:
            return found
    raise unknown_name("protocol", name, [p.name for p in _PROTOCOLS])


def table() -> str:
    """All protocols as a Markdown table: what docs/protocols.md must hold, word by word."""
    lines = ["| protocol | masks | metrics | rules | source |", "|---|---|---|---|---|"]
    for p in _PROTOCOLS:
        metrics = ", ".join(m.name for m in p.measures)
        cells = (f"`{p.name}`", ", ".join(p.masks), metrics, p.rules(), p.source)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def metric_table() -> str:
    """All metrics of all protocols as a Markdown table, for docs/protocols.md."""
    lines = ["| metric | of | unit | better | definition |", "|---|---|---|---|---|"]
    seen = set()
    for p in _PROTOCOLS:
        for m in p.measures:
            key = (m.name, p.quantity)
            if key not in seen:
                seen.add(key)
                unit = m.unit or "-"
                text = m.text.replace("|", "\\|")
                lines.append(f"| `{m.name}` | {p.quantity} | {unit} | {m.better} | {text} |")
    return "\n".join(lines) + "\n"
