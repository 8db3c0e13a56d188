"""The fusion of two methods that are named: what `mono+stereo` builds.

It stands here and not in `combine`, for only the catalog knows methods by their names.
"""

import inspect
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from fathom.combine.fuse import Fused, FuseSettings, Fusion
from fathom.core.errors import UsageError
from fathom.core.maps import Disparity, SparseDepth
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.io.points import read_points_of


@dataclass(frozen=True, kw_only=True)
class MonoStereo:
    """`combine.fuse.Fused` of a stereo and a monocular method of the catalog.

    Sure matches stay as they are. Raises `UsageError` for a method that is unknown or of the wrong
    kind, and for a value out of its range.
    """

    stereo: str = option("sgm", "the stereo method, as `fathom models` lists it")
    mono: str = option("depth-anything-v2-small", "the method of one image")
    max_disparity: int | None = option(None, "of the stereo method (px)")
    min_disparity: int | None = option(None, "of the stereo method (px)")
    sure: float = option(0.5, "matches at least this certain (0..1) are never replaced")
    local: float = option(
        0.1, "share of the image's width over which the alignment may change; 0 = one for all"
    )
    margin: float = option(
        0.25, "how much better than stereo's own filling the monocular map must have proven, 0..1"
    )
    fill: bool = option(True, "fill what neither was matched nor the monocular map is proven for")
    confidence: bool = option(True, "give P(error <= 1 px) per pixel")
    threads: int | None = option(None, "processor threads; default: all")
    device: str = option("cpu", "where nets run: cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "weights of the monocular method: a file, folder or name")
    stereo_weights: str | None = option(None, "weights of the stereo method, where it has some")
    points: str | None = option(
        None,
        "LiDAR or radar points of this pair, at pixels of its left view: text or .npy (x y depth "
        "[sigma], metres), or a .ply cloud in the camera's frame; needs a calibration",
        flags=("--anchors", "--lidar", "--hints"), metavar="FILE",
    )  # fmt: skip

    def __post_init__(self) -> None:
        FuseSettings(self.sure, self.local, self.margin)
        self._check("stereo")
        self._check("mono")

    def _check(self, task: Literal["stereo", "mono"]) -> None:
        from fathom.catalog import entry

        found = entry(getattr(self, task), task)
        if found.task != task or found.target == _TARGET:
            raise UsageError(
                "is of another kind", field=task, value=found.name,
                expected=f"a method of the task {task}, see: fathom models",
            )  # fmt: skip

    def __call__(self, pair: StereoPair, /, sparse: SparseDepth | None = None) -> Disparity:
        """Disparity of the left view; see `combine.fuse.fuse`. sparse: points in it, in metres;
        else those of the file `points`, if it is given.

        Raises as the two methods, `UsageError` for points of a pair without a rig, `InputError` for
        a file that holds none.
        """
        return self.told(pair, sparse)[0]

    def told(self, pair: StereoPair, sparse: SparseDepth | None = None) -> tuple[Disparity, Fusion]:
        """The disparity, and what came of the fusion. Raises as a call."""
        if sparse is None and self.points is not None:
            sparse = read_points_of(self.points, None if pair.rig is None else pair.rig.left)
        found, fusion = self.fused.told(pair, sparse)
        return found if self.confidence else replace(found, confidence=None), fusion

    def weights_used(self) -> dict[str, Any]:
        """Where those of the two methods are, as far as they tell."""
        methods = {"stereo": self.fused.stereo, "mono": self.fused.mono}
        return {k: m.weights_used() for k, m in methods.items() if hasattr(m, "weights_used")}

    @cached_property
    def fused(self) -> Fused:
        """The two methods, built; the stereo one with its confidence, which decides."""
        stereo = self._built(
            self.stereo, self.stereo_weights, self.min_disparity, self.max_disparity
        )
        mono = self._built(self.mono, self.weights)
        return Fused(stereo, mono, FuseSettings(self.sure, self.local, self.margin), self.fill)

    def _built(
        self, name: str, weights: str | None, least: int | None = None, most: int | None = None
    ) -> Any:
        from fathom.catalog import create, entry

        takes = inspect.signature(entry(name).builder()).parameters
        return create(
            name,
            max_disparity=most,
            min_disparity=least,
            threads=self.threads,
            device=self.device if "device" in takes else "cpu",
            weights=weights,
            confidence=entry(name).task == "stereo",
        )


_TARGET = "fathom.catalog.fused:MonoStereo"


def prepare(notify: Any) -> None:
    """Compiles what the default stereo method needs (see `Entry.prepare`)."""
    from fathom.catalog import entry

    entry("sgm").prepare(notify)
