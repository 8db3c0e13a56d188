"""Nets that end in matching costs: from two images to a `CostVolume` for the classical steps."""

import numpy as np
import torch

from fathom.classical.volume import CostVolume
from fathom.core.arrays import Shaped
from fathom.core.errors import ResourceError
from fathom.nets.adapter import Precision, autocast
from fathom.nets.stereo.mc_cnn import MCCNN, normalised


def matching_costs(
    net: MCCNN,
    left: Shaped[np.ndarray, "h w 3"],
    right: Shaped[np.ndarray, "h w 3"],
    first: int,
    levels: int,
    precision: Precision = "fp32",
) -> CostVolume:
    """The net's costs of a pair at the disparities first .. first + levels - 1, on its own device.

    left, right: RGB of whatever scale, for each is normalised. precision: bf16 = autocast. The last
    columns are as they come; see `fathom.classical.mc_cnn.continue_border`.

    Raises `ResourceError` if the device has too little memory.
    """
    device = next(net.parameters()).device
    try:
        views = [
            normalised(
                torch.from_numpy(np.ascontiguousarray(image, np.float32))
                .to(device)
                .permute(2, 0, 1)[None]
            )
            for image in (left, right)
        ]
        with torch.inference_mode(), autocast(device, precision):
            costs = net.costs_of(net.scores(views[0], views[1], first, levels)).float()[0]
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            "has too little memory for this pair",
            field="device",
            value=str(device),
            remedy="reduce the images, search fewer disparities, or use another device",
        ) from error
    return CostVolume(np.ascontiguousarray(costs.cpu().numpy()), first)
