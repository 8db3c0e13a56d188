"""fathom: depth in metres from one or two cameras.

>>> import fathom
>>> pair = fathom.read_pair("left.png", "right.png", calib="calib.txt")  # doctest: +SKIP
>>> disparity = fathom.create("default")(pair)  # doctest: +SKIP
>>> depth = disparity.to_depth(pair.rig)  # doctest: +SKIP

Names are loaded when they are first used, so that `import fathom` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fathom.catalog import Entry, create, entries
    from fathom.combine.check import Finding, check_pair
    from fathom.combine.many import run_many
    from fathom.combine.mend import Mended, mend_pair
    from fathom.combine.planes import NearerThan
    from fathom.combine.pyramid import Pyramid
    from fathom.combine.tiles import Tiled
    from fathom.core import (
        Camera,
        Depth,
        Disparity,
        Estimator,
        FathomError,
        InputError,
        MetricMono,
        MissingExtraError,
        MonoSample,
        PlaneProbability,
        PointCloud,
        QuantizedDisparity,
        RelativeDepth,
        RelativeMono,
        ResourceError,
        SelectedDisparity,
        Source,
        SparseDepth,
        StereoCalibration,
        StereoMatcher,
        StereoPair,
        StereoRig,
        StereoSample,
        UsageError,
        View,
    )
    from fathom.data import Dataset, open_dataset, read_sample, write_sample
    from fathom.eval.protocol import Protocol
    from fathom.eval.protocols import protocol, protocols
    from fathom.eval.scores import Scores
    from fathom.eval.scoring import score
    from fathom.geometry.accuracy import accuracy_at
    from fathom.geometry.align import DepthFit, align
    from fathom.geometry.anchors import ground_anchors, object_anchors
    from fathom.geometry.measuring import measure_length, measure_object, measure_point
    from fathom.geometry.rectify import Rectification, rectify
    from fathom.io.calibration import read_calibration, write_calibration
    from fathom.io.images import read_view
    from fathom.io.result import Result, read_result
    from fathom.rigs.boards import Board
    from fathom.rigs.bundle import bundle_adjust
    from fathom.rigs.calibrate import CalibrateOptions, RigCalibration, calibrate_rig
    from fathom.rigs.drift import refine_rotation
    from fathom.rigs.features import match_features
    from fathom.rigs.triangulate import PosedCamera, sparse_depth, triangulate
    from fathom.rigs.uncalibrated import rectify_uncalibrated
    from fathom.scene.cloud import CloudOptions, point_cloud
    from fathom.workflows.pairs import read_pair

_HOMES = {
    "fathom.catalog": (
        "Entry",
        "create",
        "entries",
    ),
    "fathom.combine.check": (
        "Finding",
        "check_pair",
    ),
    "fathom.combine.many": ("run_many",),
    "fathom.combine.mend": (
        "Mended",
        "mend_pair",
    ),
    "fathom.combine.planes": ("NearerThan",),
    "fathom.combine.pyramid": ("Pyramid",),
    "fathom.combine.tiles": ("Tiled",),
    "fathom.core": (
        "Camera",
        "Depth",
        "Disparity",
        "Estimator",
        "FathomError",
        "InputError",
        "MetricMono",
        "MissingExtraError",
        "MonoSample",
        "PlaneProbability",
        "PointCloud",
        "QuantizedDisparity",
        "RelativeDepth",
        "RelativeMono",
        "ResourceError",
        "SelectedDisparity",
        "Source",
        "SparseDepth",
        "StereoCalibration",
        "StereoMatcher",
        "StereoPair",
        "StereoRig",
        "StereoSample",
        "UsageError",
        "View",
    ),
    "fathom.data": (
        "Dataset",
        "open_dataset",
        "read_sample",
        "write_sample",
    ),
    "fathom.eval.protocol": ("Protocol",),
    "fathom.eval.protocols": (
        "protocol",
        "protocols",
    ),
    "fathom.eval.scores": ("Scores",),
    "fathom.eval.scoring": ("score",),
    "fathom.geometry.accuracy": ("accuracy_at",),
    "fathom.geometry.align": (
        "DepthFit",
        "align",
    ),
    "fathom.geometry.anchors": (
        "ground_anchors",
        "object_anchors",
    ),
    "fathom.geometry.measuring": (
        "measure_length",
        "measure_object",
        "measure_point",
    ),
    "fathom.geometry.rectify": (
        "Rectification",
        "rectify",
    ),
    "fathom.io.calibration": (
        "read_calibration",
        "write_calibration",
    ),
    "fathom.io.images": ("read_view",),
    "fathom.io.result": (
        "Result",
        "read_result",
    ),
    "fathom.rigs.boards": ("Board",),
    "fathom.rigs.bundle": ("bundle_adjust",),
    "fathom.rigs.calibrate": (
        "CalibrateOptions",
        "RigCalibration",
        "calibrate_rig",
    ),
    "fathom.rigs.drift": ("refine_rotation",),
    "fathom.rigs.features": ("match_features",),
    "fathom.rigs.triangulate": (
        "PosedCamera",
        "sparse_depth",
        "triangulate",
    ),
    "fathom.rigs.uncalibrated": ("rectify_uncalibrated",),
    "fathom.scene.cloud": (
        "CloudOptions",
        "point_cloud",
    ),
    "fathom.workflows.pairs": ("read_pair",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Board",
    "CalibrateOptions",
    "Camera",
    "CloudOptions",
    "Dataset",
    "Depth",
    "DepthFit",
    "Disparity",
    "Entry",
    "Estimator",
    "FathomError",
    "Finding",
    "InputError",
    "Mended",
    "MetricMono",
    "MissingExtraError",
    "MonoSample",
    "NearerThan",
    "PlaneProbability",
    "PointCloud",
    "PosedCamera",
    "Protocol",
    "Pyramid",
    "QuantizedDisparity",
    "Rectification",
    "RelativeDepth",
    "RelativeMono",
    "ResourceError",
    "Result",
    "RigCalibration",
    "Scores",
    "SelectedDisparity",
    "Source",
    "SparseDepth",
    "StereoCalibration",
    "StereoMatcher",
    "StereoPair",
    "StereoRig",
    "StereoSample",
    "Tiled",
    "UsageError",
    "View",
    "__version__",
    "accuracy_at",
    "align",
    "bundle_adjust",
    "calibrate_rig",
    "check_pair",
    "create",
    "entries",
    "ground_anchors",
    "match_features",
    "measure_length",
    "measure_object",
    "measure_point",
    "mend_pair",
    "object_anchors",
    "open_dataset",
    "point_cloud",
    "protocol",
    "protocols",
    "read_calibration",
    "read_pair",
    "read_result",
    "read_sample",
    "read_view",
    "rectify",
    "rectify_uncalibrated",
    "refine_rotation",
    "run_many",
    "score",
    "sparse_depth",
    "triangulate",
    "write_calibration",
    "write_sample",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fathom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
