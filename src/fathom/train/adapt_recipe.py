"""What adaptation minimises, as settings; no torch."""

from dataclasses import dataclass

from fathom.core.errors import UsageError
from fathom.core.options import option


@dataclass(frozen=True)
class Recipe:
    """What adaptation minimises and how; weights of 0 leave a term out.

    Raises `UsageError` for a negative weight or a share outside 0..1.
    """

    labels: float = option(1.0, "weight of what most looks of the unchanged model agree on")
    sure: float = option(0.6, "share of the looks that have to agree for a pixel to be taught")
    photometric: float = option(0.0, "weight of the census distance to the warped other view")
    smoothness: float = option(0.0, "weight of the edge-aware smoothness")
    consistency: float = option(0.0, "weight of |left - right disparity| in pixels (2x the work)")
    anchor_weight: float = option(1.0, "weight of the anchors' smooth L1, where there are some")

    def __post_init__(self) -> None:
        for name in ("labels", "photometric", "smoothness", "consistency", "anchor_weight"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )
        if not 0 <= self.sure <= 1:
            raise UsageError("is no share", field="sure", value=self.sure, expected="0..1")
        if self.labels + self.photometric + self.anchor_weight == 0:
            raise UsageError(
                "teach nothing", field="labels, photometric, anchor_weight", value=0,
                expected="one of them above 0",
            )  # fmt: skip

    @property
    def both_views(self) -> bool:
        """Whether the net has to be run on the mirrored pairs, too."""
        return self.consistency > 0
