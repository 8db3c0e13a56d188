"""Rigid motion seen by a camera: points from depth, where another camera sees them, and what it
shows there; and the losses that this gives without any truth.

A motion T is (b, 4, 4) with X' = T X for points in metres (or any unit of the depth) in the two
cameras' frames: x right, y down, z forward. Intrinsics K are (b, 3, 3) in pixels, (0, 0) being the
centre of the top-left pixel. Godard et al., "Digging into Self-Supervised Monocular Depth
Estimation", ICCV 2019 ("Monodepth2"); Zhou et al., "Unsupervised Learning of Depth and Ego-Motion
from Video", CVPR 2017.

    rotation(axis_angle)                         -> R
    rigid(axis_angle, translation, inverse)      -> T, or its inverse
    back_projected(depth, K)                     -> points
    projected(points, K, T)                      -> places in the other image, and their depth
    seen_after(source, depth, K, T)              -> the source as this camera sees it, inside
    least_error(errors, still, noise)            -> minimum over the sources, and what moves
"""

import torch
from torch import Tensor

from fathom.core.arrays import Bool, Float
from fathom.core.errors import UsageError
from fathom.layers.resample import sampled

_BEHIND = 1e-6


def rotation(axis_angle: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """The matrix of a turn about an axis by its length in radians (Rodrigues), as OpenCV has it.

    R = I + sin(a) / a K + (1 - cos(a)) / a^2 K^2 with K x = w x x; differentiable at 0.
    """
    # The root has no slope at 0; what follows is even in the angle, so its slope there is 0.
    angle = axis_angle.square().sum(dim=1).clamp(min=1e-24).sqrt()
    x, y, z = axis_angle.unbind(dim=1)
    zero = torch.zeros_like(x)
    rows = (zero, -z, y, z, zero, -x, -y, x, zero)
    k = torch.stack(rows, dim=1).reshape(-1, 3, 3)
    first = torch.sinc(angle / torch.pi)
    second = 0.5 * torch.sinc(angle / (2 * torch.pi)).square()
    turned = first[:, None, None] * k + second[:, None, None] * (k @ k)
    return turned + torch.eye(3, dtype=k.dtype, device=k.device)


def rigid(
    axis_angle: Float[Tensor, "b 3"], translation: Float[Tensor, "b 3"], *, inverse: bool = False
) -> Float[Tensor, "b 4 4"]:
    """T with X' = R X + t; inverse: its inverse, X = R^T (X' - t)."""
    turn, shift = rotation(axis_angle), translation[:, :, None]
    if inverse:
        turn = turn.transpose(1, 2)
        shift = -turn @ shift
    out: Tensor = torch.cat([turn, shift], dim=2)
    last = out.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(out), 1, 4)
    return torch.cat([out, last], dim=1)


def back_projected(
    depth: Float[Tensor, "b 1 h w"], intrinsics: Float[Tensor, "b 3 3"]
) -> Float[Tensor, "b 3 h w"]:
    """The point that each pixel shows: depth K^-1 (x, y, 1)."""
    height, width = depth.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device),
        torch.arange(width, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    pixels = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    rays: Tensor = torch.linalg.inv(intrinsics) @ pixels
    return depth * rays.reshape(-1, 3, height, width)


def projected(
    points: Float[Tensor, "b 3 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
    motion: Float[Tensor, "b 4 4"],
) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 1 h w"]]:
    """Where the camera that moved by T sees the points, x and y in its pixels, and their depth."""
    height, width = points.shape[-2:]
    moved = motion[:, :3, :3] @ points.flatten(2) + motion[:, :3, 3:]
    seen = intrinsics @ moved
    depth = seen[:, 2:]
    places = seen[:, :2] / depth.clamp(min=_BEHIND)
    return places.reshape(-1, 2, height, width), depth.reshape(-1, 1, height, width)


def seen_after(
    source: Float[Tensor, "b c h w"],
    depth: Float[Tensor, "b 1 h w"],
    intrinsics: Float[Tensor, "b 3 3"],
    motion: Float[Tensor, "b 4 4"],
) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b 1 h w"]]:
    """The source image as this camera sees it, by its own depth and the motion to the source,
    linear between pixels; and where it does not have to look beyond the source's border (which is
    repeated there) or behind it.

    The authors' code scales places by the width less one and then samples without `align_corners`,
    which shifts what is seen by up to half a pixel towards the border; this does not.
    """
    height, width = source.shape[-2:]
    places, ahead = projected(back_projected(depth, intrinsics), intrinsics, motion)
    x, y = places[:, :1], places[:, 1:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1) & (ahead > _BEHIND)
    return sampled(source, places, border="repeat"), inside


def least_error(
    errors: Float[Tensor, "b n h w"],
    still: Float[Tensor, "b n h w"] | None = None,
    noise: float = 1e-5,
) -> tuple[Float[Tensor, "b 1 h w"], Bool[Tensor, "b 1 h w"]]:
    """The smallest of the sources' errors at each pixel, and where it counts (Monodepth2, eq. 4 and
    5): a pixel hidden in one source is seen in another.

    still: the errors of the sources as they are, not warped. Where the smallest of these is smaller
    yet (what moves along with the camera, images of a camera that stands, plain areas), it is taken
    in the error's place: it sends no gradient, and does not count. noise: standard deviation of
    what is added to `still`, so that where both are alike neither is always chosen; none if 0.

    Raises `UsageError` without a source, or for stills of another shape.
    """
    if errors.shape[1] < 1 or (still is not None and still.shape != errors.shape):
        raise UsageError(
            "are no errors of the same sources",
            field="errors, still",
            value=(tuple(errors.shape), None if still is None else tuple(still.shape)),
            expected="(b, n, h, w), n >= 1, of one shape",
        )
    least = errors.amin(dim=1, keepdim=True)
    if still is None:
        return least, torch.ones_like(least, dtype=torch.bool)
    quiet = still.detach()
    if noise:
        quiet = quiet + noise * torch.randn_like(quiet)
    rest = quiet.amin(dim=1, keepdim=True)
    counts = least < rest
    return torch.where(counts, least, rest), counts
