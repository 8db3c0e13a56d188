"""What a net is fed with: pairs with the evidence of semi-global matching, padded."""

from collections.abc import Sequence

import numpy as np

from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.core.arrays import Array
from fathom.core.pair import StereoPair, View
from fathom.export.published import Published
from fathom.geometry.padding import padded, padded_layers
from fathom.nets.stereo.evidence import EvidenceNet

_SIZE = (512, 256)
_SEED = 7_000_001  # far from the scenes that are trained on


def inputs_of(
    pair: StereoPair, net: EvidenceNet | Published, threads: int | None = None
) -> dict[str, Array]:
    """What the net takes of a pair by name: `left`, `right` and `evidence`, each extended by its
    border at the right and bottom to multiples of the net's divisor; of a published net `left` and
    `right`, framed as it wants them.

    Raises as `SGM.__call__`.
    """
    if isinstance(net, Published):
        return net.inputs_of(pair)
    views = [view.rgb8 for view in (pair.left, pair.right)]
    left, right = (padded(image, net.config.divisor).transpose(2, 0, 1) for image in views)
    most = min(net.config.max_disparity, pair.size[0] - 1)
    plain = StereoPair(View(views[0]), View(views[1]))
    found = pair_channels(plain, SGM(max_disparity=most, threads=threads))
    evidence = padded_layers(found, left.shape[1:])[None]
    left, right = (np.ascontiguousarray(image[None], np.float32) for image in (left, right))
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
