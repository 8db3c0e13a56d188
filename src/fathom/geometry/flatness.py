"""How flat a flat wall comes out: the measures of depth-camera makers' quality tools.

In a rectified pair a plane n . X = k has the disparity D = d + doffs = (f b / k) (n . ray), which
is linear in the pixel (u, v): D = p u + q v + r. Noise of matching is of one size in D everywhere,
so the plane is fitted there and its numbers are carried over to metres. Names of the measures are
those of "Intel RealSense Camera Depth Testing Methodology" (revision 1.0, 2018): fill rate,
Z-accuracy, plane fit RMS (spatial noise), sub-pixel RMS, temporal noise.
"""

import math
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Float32, Float64
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError

Box = tuple[int, int, int, int]

_LEAST_FILL = 0.2
_LEAST_PIXELS = 50
_LEAST_INLIERS = 0.75
_ROUGHEST = 1.0  # px: robust scatter about the best plane beyond which a region is no plane
_MOST_BOW = 1.0  # px RMS of a smooth bow beyond which, where it stands out, it is no plane either
_TAILS = 0.005  # of the residuals, at each end, that do not count
_TRIALS = 100
_SAMPLE = 4_000
_MAD = 1.4826  # from the median of absolute values to a standard deviation


@dataclass(frozen=True)
class Plane:
    """A plane in front of a rig: D = p u + q v + r, pixels of disparity from infinity.

    u and v are pixels of the left image.
    """

    p: float
    q: float
    r: float

    def disparity(self, u: Array, v: Array) -> Array:
        """D of pixels (u, v)."""
        return self.p * u + self.q * v + self.r

    def normal(self, rig: StereoRig) -> Float64[np.ndarray, "3"]:
        """The unit normal in the left camera's frame, pointing away from the camera."""
        camera = rig.left
        at_axis = self.p * camera.cx + self.q * camera.cy + self.r
        normal = np.array([self.p * camera.fx, self.q * camera.fy, at_axis])
        return normal / float(np.linalg.norm(normal))

    def depth_on_axis(self, rig: StereoRig) -> float:
        """Metres along the optical axis (the pixel (cx, cy)) to the plane; inf if they do not
        meet in front of the camera."""
        at_axis = self.p * rig.left.cx + self.q * rig.left.cy + self.r
        return rig.left.fx * rig.baseline / at_axis if at_axis > 0 else math.inf

    def tilt(self, rig: StereoRig) -> tuple[float, float, float]:
        """Degrees between the normal and the optical axis: in all, to the side (positive: the
        plane's right side is nearer), and up and down (positive: its lower side is nearer)."""
        x, y, z = (float(v) for v in self.normal(rig))
        total = math.degrees(math.atan2(math.hypot(x, y), z))
        return total, math.degrees(math.atan2(x, z)), math.degrees(math.atan2(y, z))


@dataclass(frozen=True, eq=False)
class Flatness:
    """How flat one capture of a flat wall is within a region.

    box: (x0, y0, x1, y1), x1 and y1 excluded. distance: metres to the plane along the optical axis.
    tilt, tilt_x, tilt_y: degrees, as `Plane.tilt`. fill_rate: share of the region that was
    measured. plane_fit_rms: RMS distance from the plane in metres, subpixel_rms: the same in pixels
    of disparity; the 0.5 % of largest residuals at each end do not count. inliers: share of the
    measured pixels within four robust standard deviations. bow: RMS in pixels of the smooth
    (quadratic) part of the residual. With a known distance: bias in metres and pixels of disparity,
    and z_accuracy, the median of (Z - truth) / truth over the region. residual: float32 (h, w) of
    the region, pixels of disparity, NaN where nothing was measured.
    """

    box: Box
    plane: Plane
    distance: float
    tilt: float
    tilt_x: float
    tilt_y: float
    fill_rate: float
    plane_fit_rms: float
    subpixel_rms: float
    inliers: float
    bow: float
    bias: float | None
    bias_px: float | None
    z_accuracy: float | None
    residual: Float32[np.ndarray, "h w"]


def centre_box(width: int, height: int) -> Box:
    """The middle half of an image, each way."""
    x, y = width // 4, height // 4
    return x, y, max(x + 1, width - x), max(y + 1, height - y)


def flatness(
    disparity: Float32[np.ndarray, "h w"],
    rig: StereoRig,
    box: Box | None = None,
    truth: float | None = None,
) -> Flatness:
    """The flatness of a wall in a disparity map (pixels, NaN where not measured).

    box: the region, by default the middle half. truth: metres from the left camera to the wall
    along the optical axis, where known; the true plane then has the tilt of the fitted one, which a
    tape cannot measure.

    Raises `UsageError` for a box outside the map or a distance that is not > 0, `InputError` if the
    region is no plane, saying why.
    """
    height, width = disparity.shape
    box = box or centre_box(width, height)
    _require_request(box, width, height, truth)
    x0, y0, x1, y1 = box
    region = disparity[y0:y1, x0:x1].astype(np.float64) + rig.doffs
    rows, columns = np.nonzero(region > 0)
    _require_filled(len(rows), region.size)
    u, v, values = columns + float(x0), rows + float(y0), region[rows, columns]
    plane, inliers = fit_plane(u, v, values)
    fitted = plane.disparity(u, v)
    errors = values - fitted
    bow = _bow(u, v, errors, inliers)
    _require_plane(errors, inliers, bow)
    distance = plane.depth_on_axis(rig)
    if not math.isfinite(distance):
        raise InputError(
            "the plane does not cross the optical axis in front of the camera",
            field="roi",
            remedy="stand square to the wall",
        )
    across = _distances(plane, rig, u, v, values)
    counted = _within_tails(errors)
    residual = np.full(region.shape, np.nan, np.float32)
    residual[rows, columns] = errors
    product = rig.left.fx * rig.baseline
    total, tilt_x, tilt_y = plane.tilt(rig)
    bias, bias_px, z_accuracy = None, None, None
    if truth is not None:
        bias = distance - truth
        bias_px = product / distance - product / truth
        z_accuracy = float(np.median(fitted * distance / truth / values)) - 1
    return Flatness(
        box=box,
        plane=plane,
        distance=distance,
        tilt=total,
        tilt_x=tilt_x,
        tilt_y=tilt_y,
        fill_rate=len(rows) / region.size,
        plane_fit_rms=float(np.sqrt(np.mean(across[counted] ** 2))),
        subpixel_rms=float(np.sqrt(np.mean(errors[counted] ** 2))),
        inliers=float(inliers.mean()),
        bow=bow,
        bias=bias,
        bias_px=bias_px,
        z_accuracy=z_accuracy,
        residual=residual,
    )


def fit_plane(
    u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " n"], values: Float64[np.ndarray, " n"]
) -> tuple[Plane, Array]:
    """The dominant plane of `values` over pixels (u, v), and which values (bool (n,)) lie on it.

    Least median of squares over planes through three pixels (Rousseeuw, "Least Median of Squares
    Regression", JASA 1984), then least squares over what lies within four robust standard
    deviations, until that set no longer changes. The same values give the same plane.
    """
    rng = np.random.default_rng(0)
    middle = np.array([u.mean(), v.mean()])
    scale = max(float(np.ptp(u)), float(np.ptp(v)), 1.0)
    matrix = np.stack([(u - middle[0]) / scale, (v - middle[1]) / scale, np.ones_like(u)], axis=1)
    some = rng.permutation(len(values))[:_SAMPLE]
    sample, sampled = matrix[some], values[some]
    best, best_score = np.array([0.0, 0.0, float(np.median(values))]), math.inf
    for _ in range(_TRIALS):
        three = rng.integers(0, len(some), 3)
        corner = sample[three]
        if abs(float(np.linalg.det(corner))) < 1e-4:
            continue
        candidate = np.linalg.solve(corner, sampled[three])
        score = float(np.median(np.abs(sampled - sample @ candidate)))
        if score < best_score:
            best, best_score = candidate, score
    inliers = np.zeros(len(values), np.bool_)
    for _ in range(20):
        errors = np.abs(values - matrix @ best)
        near = errors <= 4 * max(_MAD * float(np.median(errors)), 1e-3)
        if bool((near == inliers).all()):
            break
        inliers = near
        best = _least_squares(matrix[inliers], values[inliers])
    p, q = (float(c) / scale for c in best[:2])
    return Plane(p, q, float(best[2]) - p * float(middle[0]) - q * float(middle[1])), inliers


class TemporalNoise:
    """Scatter of each pixel over several captures; maps are added one at a time.

    Pixels that were measured in every capture count. What is reported is the median over pixels
    of their standard deviation; the median of a standard deviation of few values lies below the
    true one, by a factor that is known (Wilson and Hilferty's median of chi squared, 1931) and
    taken out.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Array = np.zeros(0)
        self._squares: Array = np.zeros(0)

    def add(self, values: Float32[np.ndarray, "h w"]) -> None:
        """One more capture (NaN = not measured). Raises `InputError` for another size."""
        values = values.astype(np.float64)
        if self.count == 0:
            self._mean, self._squares = np.zeros(values.shape), np.zeros(values.shape)
        if values.shape != self._mean.shape:
            raise InputError(
                "the captures differ in size",
                field="size",
                value=values.shape,
                expected=str(self._mean.shape),
            )
        self.count += 1
        change = values - self._mean
        self._mean = self._mean + change / self.count
        self._squares = self._squares + change * (values - self._mean)

    def map(self) -> Float32[np.ndarray, "h w"] | None:
        """Standard deviation of each pixel, NaN where it was not always measured; None before the
        second capture."""
        if self.count < 2:
            return None
        return np.sqrt(self._squares / (self.count - 1)).astype(np.float32)

    def value(self) -> float | None:
        """The temporal noise, in the unit of the values; None before the second capture, or if no
        pixel was measured in all of them."""
        each = self.map()
        if each is None or not np.isfinite(each).any():
            return None
        free = self.count - 1
        median_chi2 = free * (1 - 2 / (9 * free)) ** 3
        return float(np.nanmedian(each)) / math.sqrt(median_chi2 / free)


def _least_squares(matrix: Array, values: Array) -> Array:
    """By the normal equations: columns are centred and of like size, and there are many rows."""
    out: Array = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ values, rcond=None)[0]
    return out


def _distances(plane: Plane, rig: StereoRig, u: Array, v: Array, values: Array) -> Array:
    """Signed metres from the plane of the points with disparities `values`: positive is behind.

    Z - Z_plane = f b (1 / D - 1 / D_plane) along the ray, times normal . ray across the plane.
    """
    camera, normal = rig.left, plane.normal(rig)
    ray = normal[0] * (u - camera.cx) / camera.fx + normal[1] * (v - camera.cy) / camera.fy
    product = camera.fx * rig.baseline
    out: Array = (ray + normal[2]) * (product / values - product / plane.disparity(u, v))
    return out


def _within_tails(errors: Array) -> Array:
    low, high = np.quantile(errors, (_TAILS, 1 - _TAILS))
    out: Array = (errors >= low) & (errors <= high)
    return out


def _bow(u: Array, v: Array, errors: Array, inliers: Array) -> float:
    """RMS of the quadratic part of the residual."""
    x = (u[inliers] - u.mean()) / max(float(np.ptp(u)), 1.0)
    y = (v[inliers] - v.mean()) / max(float(np.ptp(v)), 1.0)
    matrix = np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)], axis=1)
    fit = _least_squares(matrix, errors[inliers])
    return float(np.sqrt(np.mean((matrix @ fit) ** 2)))


def _require_request(box: Box, width: int, height: int, truth: float | None) -> None:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise UsageError(
            "is no region of the image",
            field="roi",
            value=",".join(str(v) for v in box),
            expected=f"x0 < x1 within 0..{width}, y0 < y1 within 0..{height}",
        )
    if truth is not None and not 0 < truth < math.inf:
        raise UsageError("is no distance", field="distance", value=truth, expected="metres > 0")


def _require_filled(count: int, size: int) -> None:
    fill = count / size
    if fill < _LEAST_FILL or count < _LEAST_PIXELS:
        raise InputError(
            f"only {fill:.0%} of the region was measured",
            field="roi",
            expected=f"{_LEAST_FILL:.0%} or more, and {_LEAST_PIXELS} pixels",
            remedy="light it, put a pattern on it, or give --roi X0,Y0,X1,Y1 with texture",
        )


def _require_plane(errors: Array, inliers: Array, bow: float) -> None:
    scatter = _MAD * float(np.median(np.abs(errors)))
    share = float(inliers.mean())
    reason = None
    if scatter > _ROUGHEST:
        reason = f"its disparities scatter by {scatter:.1f} px about the best plane"
    elif share < _LEAST_INLIERS:
        reason = f"only {share:.0%} of what was measured lies on the best plane"
    if bow > _MOST_BOW and bow > 0.7 * float(np.sqrt(np.mean(errors[inliers] ** 2))):
        reason = f"it is bowed by {bow:.1f} px of disparity (RMS)"
    if reason is not None:
        raise InputError(
            f"the region is no plane: {reason}",
            field="roi",
            expected="a flat wall or board that fills it",
            remedy="give the flat part with --roi X0,Y0,X1,Y1; a bow may also come from lens "
            "distortion that was left in",
        )
