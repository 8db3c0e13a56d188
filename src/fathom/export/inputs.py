"""What a net is fed with: pairs with the evidence of semi-global matching, padded."""

from collections.abc import Sequence

import numpy as np

from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.core.arrays import Array
from fathom.core.pair import StereoPair, View
from fathom.export.published import Published
from fathom.nets.stereo.evidence import EvidenceNet

_SIZE = (512, 256)
_SEED = 7_000_001  # far from the scenes that are trained on


def inputs_of(
    pair: StereoPair, net: EvidenceNet | Published, threads: int | None = None
) -> dict[str, Array]:
    """What the net takes of a pair by name: `left`, `right` and `evidence`, extended by its border
    at the right and bottom to multiples of the net's divisor; of a published net `left` and
    `right`, framed as it wants them.

    Raises as `SGM.__call__`.
    """
    if isinstance(net, Published):
        return net.inputs_of(pair)
    divisor = net.config.divisor
    height, width = pair.shape
    room = ((0, -height % divisor), (0, -width % divisor), (0, 0))
    images = [np.pad(view.rgb8, room, mode="edge") for view in (pair.left, pair.right)]
    padded = StereoPair(View(images[0]), View(images[1]))
    most = min(net.config.max_disparity, padded.size[0] - 1)
    left, right = (
        np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) for image in images
    )
    evidence = pair_channels(padded, SGM(max_disparity=most, threads=threads))[None]
    return {"left": left, "right": right, "evidence": evidence}


def scene_inputs(net: EvidenceNet, count: int, names: Sequence[str]) -> list[dict[str, Array]]:
    """Inputs of `count` procedural scenes, 512x256, those of `names` only."""
    from fathom.data.scenes import Scenes, SceneSettings

    divisor = net.config.divisor
    width, height = (max(size - size % divisor, divisor) for size in _SIZE)
    scenes = Scenes(SceneSettings(width=width, height=height), _SEED)
    found = []
    for i in range(count):
        made = inputs_of(scenes[i].pair, net)
        found.append({name: made[name] for name in names})
    return found
