"""Depth from one image or a video by diffusion models, which run through diffusers.

Licences, commits and sizes are those of the hub's pages and the authors' repositories; where a page
was not to be seen, the licence says whose word it is.
"""

from fathom.catalog.record import Entry, Hub, Parameter
from fathom.core.maps import Ambiguity

_FIXED: tuple[tuple[str, Parameter], ...] = (("steps", 1), ("ensemble", 1), ("confidence", False))
"""Of a net that makes one step from zeros: nothing is drawn, so there is nothing to repeat."""


def _marigold(name: str, hub: Hub, summary: str, licence: str, *, zeros: bool = False) -> Entry:
    ambiguity: Ambiguity = "affine"
    return Entry(
        name,
        "fathom.combine.diffusion:Marigold",
        "mono",
        summary,
        extra="diffusion",
        licence=licence,
        preset=(
            ("model", name),
            ("hub", f"{hub.repo}@{hub.revision}"),
            ("zeros", zeros),
            *(_FIXED if zeros else ()),
        ),
        ambiguity=ambiguity,
        hub=hub,
        side=768,
    )


_CRAFTER = Hub("tencent/DepthCrafter", "c1a22b53f8abf80cd0b025adf29e637773229eca", 3050)

DIFFUSION: tuple[Entry, ...] = (
    _marigold(
        "marigold",
        Hub("prs-eth/marigold-depth-v1-1", "9571e7123e258cf052b4e54241f17971c290e9a8", 5160, 2580),
        "Marigold 1.1 (CVPR 2024): depth by diffusion in a few steps; fine detail, but slow",
        "Apache-2.0; weights: RAIL++-M, use restricted",
    ),
    _marigold(
        "marigold-v1",
        Hub("prs-eth/marigold-depth-v1-0", "ea6ffc5544afe9175ae97df01d55a88a8c990a3b", 5160, 2580),
        "Marigold 1.0: the paper's weights; 10 steps here, 50 in the paper",
        "Apache-2.0; weights: RAIL++-M by the authors' repository, use restricted",
    ),
    _marigold(
        "marigold-lcm",
        Hub(
            "prs-eth/marigold-depth-lcm-v1-0",
            "25caee574c15e2b3989a0c9c4d43198743ad8322",
            5160,
            2580,
        ),
        "Marigold 1.0 as a latent consistency model (LCM): one step, up to four",
        "Apache-2.0; weights: Apache-2.0 on their page, RAIL++-M by the authors' repository",
    ),
    _marigold(
        "marigold-e2e",
        Hub("GonzaloMG/marigold-e2e-ft-depth", "ce2c7c0bd752148f48673606c564fa356fad0abf", 5160),
        "Marigold fine-tuned end to end (WACV 2025): one step from zeros, nothing drawn by lot",
        "Apache-2.0; weights: Apache-2.0",
        zeros=True,
    ),
    Entry(
        "depthcrafter",
        "fathom.combine.diffusion:DepthCrafter",
        "mono",
        "DepthCrafter (CVPR 2025): inverse depth of a whole video in one unit; wants a large GPU",
        extra="diffusion",
        licence="Apache-2.0; weights: Tencent, academic use only; Stability AI community licence",
        preset=(
            ("model", "depthcrafter"),
            ("hub", f"{_CRAFTER.repo}@{_CRAFTER.revision}"),
        ),
        ambiguity="affine_inverse",
        hub=_CRAFTER,
        side=1024,
        clip=True,
    ),
)
