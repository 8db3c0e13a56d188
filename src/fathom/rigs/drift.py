"""A drifted rig calibrated anew from natural images: a small rotation between the cameras.

Mounts bend with temperature and knocks, and they turn a camera far more than they move it. What
the rows of matched points tell about that is settled in the rectified frame: with x and y the
tangents of a right ray there, a turn of the right camera by small angles moves its row by

    dy = f ((1 + y^2) pitch - x y yaw - x roll)

(T. Dang, C. Hoffmann and C. Stiller, "Continuous stereo self-calibration by camera parameter
tracking", IEEE Trans. Image Processing 2009; signs for y down and angles about x, y and z).
Pitch moves all rows and roll grows along x: both are well seen. Yaw moves disparities, which no
row tells, and rows only in the corners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool, Float64, Shaped
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.geometry.project import rays
from fathom.rigs.bundle_problem import turn
from fathom.rigs.features import Matches

NAMES = ("pitch", "yaw", "roll")
_LEAST = 30  # matches that agree
_SHARE = 0.2  # of all matches, below which their agreement is chance
_SIGNIFICANT = 3.0  # sigmas below which an angle counts as none
_WORTH = 0.1  # pixels in the image: hardly a rig is aligned better, so less is left alone
_WIDEST = 5.0  # degrees: more is no drift
_CELLS = 4  # image cells a side whose matches may share an error
_NO_YAW = "rows hardly show it, and distances hang on it (matches of far things would tell)"


@dataclass(frozen=True, eq=False)
class Drift:
    """What rotation the matches show against a calibration, and the calibration without it.

    calibration: the given one, its right camera turned about its own centre by `angles`; applied
    by rectifying with it (images of a `StereoRig` too: they are the raw ones of its ideal cameras).
    angles: degrees by which the right camera has turned: pitch (> 0: it looks higher), yaw (> 0:
    further right) and roll (> 0: clockwise), about x, y and z of the rectified frame; 0 where held.
    sigma: one standard deviation in degrees, also of those that were held. held: why, for each
    angle that was left alone. before, after: pixels, the row error of the matches that agree, root
    mean square. points: how many agree. pairs: how many pairs they come from.
    """

    calibration: StereoCalibration
    angles: tuple[float, float, float]
    sigma: tuple[float, float, float]
    held: dict[str, str]
    before: float
    after: float
    points: int
    pairs: int

    @property
    def changed(self) -> bool:
        """True if any angle was applied."""
        return any(self.angles)

    def summary(self) -> str:
        """One line: the angles with their sigmas, and the row error before and after."""
        shown = [
            f"{name} {angle:+.3f} +- {sigma:.4f}" if name not in self.held else f"{name} held"
            for name, angle, sigma in zip(NAMES, self.angles, self.sigma, strict=True)
        ]
        return (
            f"{', '.join(shown)} degrees; row error {self.before:.2f} -> {self.after:.2f} px "
            f"over {self.points} points of {self.pairs} pairs"
        )


def refine_rotation(
    calibration: StereoCalibration | StereoRig,
    matches: Sequence[Matches],
    *,
    far: Matches | None = None,
) -> Drift:
    """The small rotation between the cameras that the matches of many pairs agree on.

    matches: of each pair, in raw pixels of a `StereoCalibration` or rectified ones of a
    `StereoRig`; wrong ones may be among them. far: matches of things so far away that their
    parallax is below a pixel's tenth (stars, a skyline); they alone determine the yaw.

    Robust least squares on the row error after rectification, from wide to narrow (Geman and
    McClure's weights). Standard deviations allow for errors that matches in one part of one image
    share (Huber's sandwich with groups). An angle is applied only if it is beyond 3 sigmas and
    moves pixels by 0.1 or more; else it is held with the reason. Yaw is held without `far`: rows
    show it only in the corners, where an error of the lens model looks the same, and a wrong yaw
    spoils every distance. With the left camera turned instead, what remains is the roll times the
    disparity: a tenth of a pixel at 0.1 degrees and 60 pixels.

    Raises `InputError` if fewer than 30 matches, or less than a fifth of them, agree, if the
    rotation is beyond 5 degrees or the cameras stand above each other; `UsageError` if there are no
    matches at all.
    """
    if not matches:
        raise UsageError("there are none", field="matches", expected="those of one pair or more")
    raw = _as_calibration(calibration)
    frame = _Frame.of(raw)
    looks = [frame.looks(raw, m) for m in matches]
    left, right = (np.concatenate([look[i] for look in looks]) for i in (0, 1))
    group = np.concatenate([i * 1000 + _cell(m, raw) for i, m in enumerate(matches)])
    known = np.isfinite(left).all(axis=1) & np.isfinite(right).all(axis=1)
    left, right, group = left[known], right[known], group[known]
    distant = None if far is None else _usable(frame.looks(raw, far))
    held = {} if distant is not None else {"yaw": _NO_YAW}
    seen = _Seen(frame, left, right, distant, group)
    while True:
        free = np.array([name not in held for name in NAMES])
        fit = _fit(seen, free)
        if fit.good.sum() < max(_LEAST, _SHARE * len(left)):
            raise InputError(
                f"only {int(fit.good.sum())} of {len(left)} matches agree on one rotation",
                field="matches",
                expected=f"{max(_LEAST, round(_SHARE * len(left)))} or more",
                remedy="give more pairs with structure all over the image",
            )
        sigma = _sigmas(seen, fit)
        doubt = _doubt(seen, fit, sigma)
        if not doubt:
            return _drift(raw, seen, fit, sigma, held, len(matches))
        held |= doubt


def row_error(
    calibration: StereoCalibration | StereoRig, matches: Matches
) -> Float64[np.ndarray, " n"]:
    """y_right - y_left in pixels that matches would have after rectification; NaN where a pixel
    has no ray. Pixels as in `refine_rotation`."""
    raw = _as_calibration(calibration)
    frame = _Frame.of(raw)
    left, right = frame.looks(raw, matches)
    return frame.rise(left, right)


@dataclass(frozen=True, eq=False)
class _Frame:
    """The rectified frame: x along the baseline, z between the two cameras' axes.

    left, right: rotations into it from each camera. focal: pixels.
    """

    left: Float64[np.ndarray, "3 3"]
    right: Float64[np.ndarray, "3 3"]
    focal: float

    @classmethod
    def of(cls, raw: StereoCalibration) -> "_Frame":
        center = -raw.rotation.T @ raw.translation  # of the right camera, in the left one's frame
        x = center / np.linalg.norm(center)
        if abs(x[0]) < 0.7:
            # A vertical rig: the same mathematics, with columns for rows.
            raise InputError(
                "the cameras do not stand side by side",
                field="translation",
                value=np.round(raw.translation, 4).tolist(),
                expected="mostly along x",
                remedy="turn images and calibration by 90 degrees",
            )
        x = x * np.sign(x[0])
        ahead = np.array([0.0, 0.0, 1.0]) + raw.rotation[2]
        y = np.cross(ahead, x)
        y /= np.linalg.norm(y)
        turned = np.stack([x, y, np.cross(x, y)])
        return cls(turned, turned @ raw.rotation.T, (raw.left.fy + raw.right.fy) / 2)

    def looks(self, raw: StereoCalibration, matches: Matches) -> tuple[Array, Array]:
        """Rays (n, 3) of both views in this frame."""
        left = rays(np.asarray(matches.left), raw.left) @ self.left.T
        return left, rays(np.asarray(matches.right), raw.right) @ self.right.T

    def rise(self, left: Array, right: Array) -> Float64[np.ndarray, " n"]:
        """y_right - y_left in pixels."""
        with np.errstate(divide="ignore", invalid="ignore"):
            out = self.focal * (right[:, 1] / right[:, 2] - left[:, 1] / left[:, 2])
        return np.asarray(out)

    def shift(self, left: Array, right: Array) -> Float64[np.ndarray, " n"]:
        """x_right - x_left in pixels, which is 0 at infinity."""
        out = self.focal * (right[:, 0] / right[:, 2] - left[:, 0] / left[:, 2])
        return np.asarray(out)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Rays (n, 3) of the matches in the rectified frame, those of far things, and a number for
    each match that those share which may share an error."""

    frame: _Frame
    left: Float64[np.ndarray, "n 3"]
    right: Float64[np.ndarray, "n 3"]
    far: tuple[Float64[np.ndarray, "k 3"], Float64[np.ndarray, "k 3"]] | None
    group: Shaped[np.ndarray, " n"]

    def errors(self, angles: Float64[np.ndarray, "3"]) -> tuple[Array, Array]:
        """Pixels of row (n,), and of column (k,) of the far ones, with the right rays turned."""
        undo = turn(angles[None])[0].T
        rise = self.frame.rise(self.left, self.right @ undo)
        if self.far is None:
            return rise, np.zeros(0)
        return rise, self.frame.shift(self.far[0], self.far[1] @ undo)

    def slopes(self, angles: Float64[np.ndarray, "3"]) -> tuple[Array, Array]:
        """Derivatives (n, 3) and (k, 3) of `errors` by pitch, yaw and roll, pixels per radian."""
        undo = turn(angles[None])[0].T
        rows = _slopes(self.frame, self.right @ undo)[0]
        if self.far is None:
            return rows, np.zeros((0, 3))
        return rows, _slopes(self.frame, self.far[1] @ undo)[1]


def _slopes(frame: _Frame, looks: Array) -> tuple[Array, Array]:
    """Pixels of row (n, 3) and of column (n, 3) per radian that rays are turned by."""
    x, y = looks[:, 0] / looks[:, 2], looks[:, 1] / looks[:, 2]
    rows = np.stack([-(1 + y * y), x * y, x], axis=1)
    columns = np.stack([-x * y, 1 + x * x, -y], axis=1)
    return frame.focal * rows, frame.focal * columns


@dataclass(frozen=True, eq=False)
class _Fit:
    """angles: radians that the right rays are to be turned by, which is what the camera has turned
    by. free: which were fitted. good, far: matches that agree."""

    angles: Float64[np.ndarray, "3"]
    free: Bool[np.ndarray, "3"]
    good: Bool[np.ndarray, " n"]
    far: Bool[np.ndarray, " k"]


def _fit(seen: _Seen, free: Bool[np.ndarray, "3"]) -> _Fit:
    """From a width at which a drift of degrees is within reach to that of the matches' noise."""
    angles = np.zeros(3)
    width = seen.frame.focal * np.radians(_WIDEST) / 2
    for _ in range(40):
        errors, slopes = seen.errors(angles), seen.slopes(angles)
        near = np.abs(errors[0]) < 3 * width
        if near.sum() < _LEAST:
            break
        normal, pull = np.zeros((3, 3)), np.zeros(3)
        for error, slope in zip(errors, slopes, strict=True):
            weight = 1 / (1 + (error / width) ** 2) ** 2
            normal += (slope.T * weight) @ slope
            pull += (slope.T * weight) @ error
        step = np.zeros(3)
        if free.any():
            own = normal[np.ix_(free, free)]
            steady = own + 1e-9 * np.trace(own) * np.eye(len(own))
            step[free] = np.linalg.solve(steady, -pull[free])
        angles += step
        narrow = max(3 * _spread(errors[0][near]), 0.3)
        if np.abs(step).max() * seen.frame.focal < 1e-4 and width <= narrow * 1.01:
            break
        width = max(0.6 * width, narrow)
    rise, shift = seen.errors(angles)
    # What is farther off than any lens error is no agreement, however wide the rest scatters.
    widest = max(3.0, 0.006 * seen.frame.focal)
    limit = float(np.clip(4 * _spread(rise[np.abs(rise) < 3 * width]), 0.5, widest))
    return _Fit(angles, free, np.abs(rise) < limit, np.abs(shift) < limit)


def _spread(errors: Float64[np.ndarray, " n"]) -> float:
    """Standard deviation of the greater part of the errors, pixels."""
    return 1.4826 * float(np.median(np.abs(errors))) if len(errors) else 0.0


def _sigmas(seen: _Seen, fit: _Fit) -> Float64[np.ndarray, "3"]:
    """Standard deviations of the angles in radians; of a held one as if it were fitted as well.

    The larger of two: from the scatter of independent matches, and from sums over groups.
    """
    errors, slopes = seen.errors(fit.angles), seen.slopes(fit.angles)
    error = np.concatenate([errors[0][fit.good], errors[1][fit.far]])
    slope = np.concatenate([slopes[0][fit.good], slopes[1][fit.far]])
    group = np.concatenate([seen.group[fit.good], -1 - np.arange(int(fit.far.sum()))])
    _, index = np.unique(group, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, 3))
    np.add.at(sums, index, slope * error[:, None])
    rest = len(sums) / max(len(sums) - 3, 1)
    out = np.zeros(3)
    for i in range(3):
        own = fit.free | (np.arange(3) == i)
        inverse = np.linalg.pinv(slope[:, own].T @ slope[:, own], rcond=1e-12, hermitian=True)
        plain = inverse * float(np.mean(error**2))
        shared = inverse @ (sums[:, own].T @ sums[:, own]) @ inverse * rest
        at = int(own[:i].sum())
        out[i] = np.sqrt(max(plain[at, at], shared[at, at]))
    return out


def _doubt(seen: _Seen, fit: _Fit, sigma: Float64[np.ndarray, "3"]) -> dict[str, str]:
    """The fitted angle with the least to say for itself, and why it is left alone; or nothing."""
    pixels = np.abs(fit.angles) * np.sqrt(
        np.mean(seen.slopes(fit.angles)[0][fit.good] ** 2, axis=0)
    )
    # Yaw moves columns rather than rows.
    pixels[1] = abs(fit.angles[1]) * seen.frame.focal
    share = np.abs(fit.angles) / np.maximum(sigma, 1e-12)
    weak = fit.free & ((share < _SIGNIFICANT) | (pixels < _WORTH))
    if not weak.any():
        return {}
    i = int(np.argmin(np.where(weak, share, np.inf)))
    angle, error = np.degrees(fit.angles[i]), np.degrees(sigma[i])
    shown = f"{angle:+.4f} +- {error:.4f} degrees"
    if share[i] < _SIGNIFICANT:
        return {NAMES[i]: f"{shown}: not told from none"}
    return {NAMES[i]: f"{shown}: moves pixels by {pixels[i]:.3f}, too little to matter"}


def _drift(
    raw: StereoCalibration,
    seen: _Seen,
    fit: _Fit,
    sigma: Float64[np.ndarray, "3"],
    held: dict[str, str],
    pairs: int,
) -> Drift:
    degrees = np.degrees(fit.angles)
    if np.abs(degrees).max() > _WIDEST:
        raise InputError(
            f"the matches ask for {np.abs(degrees).max():.1f} degrees",
            field="rotation",
            expected=f"a drift of at most {_WIDEST:.0f} degrees",
            remedy="calibrate the rig anew, or check that images and calibration belong together",
        )
    before, after = (
        float(np.sqrt(np.mean(seen.errors(a)[0][fit.good] ** 2))) for a in (np.zeros(3), fit.angles)
    )
    new = raw
    if fit.angles.any():
        # Rays are turned back in the rectified frame; the camera itself turned there and then.
        back = seen.frame.right.T @ turn(fit.angles[None])[0] @ seen.frame.right
        new = StereoCalibration(
            raw.left, raw.right, back.T @ raw.rotation, back.T @ raw.translation
        )
    told = (_three(degrees), _three(np.degrees(sigma)))
    return Drift(new, *told, held, before, after, int(fit.good.sum()), pairs)


def _three(values: Float64[np.ndarray, "3"]) -> tuple[float, float, float]:
    pitch, yaw, roll = (float(v) for v in values)
    return pitch, yaw, roll


def _as_calibration(calibration: StereoCalibration | StereoRig) -> StereoCalibration:
    if isinstance(calibration, StereoCalibration):
        return calibration
    shift = np.array([-calibration.baseline, 0.0, 0.0])
    return StereoCalibration(calibration.left, calibration.right, np.eye(3), shift)


def _cell(matches: Matches, raw: StereoCalibration) -> Shaped[np.ndarray, " n"]:
    """Number of the image cell that each match lies in."""
    at = (matches.left + 0.5) / np.array(raw.left.size) * _CELLS
    x, y = np.clip(at.astype(np.intp), 0, _CELLS - 1).T
    return np.asarray(y * _CELLS + x)


def _usable(looks: tuple[Array, Array]) -> tuple[Array, Array]:
    known = np.isfinite(looks[0]).all(axis=1) & np.isfinite(looks[1]).all(axis=1)
    return looks[0][known], looks[1][known]
