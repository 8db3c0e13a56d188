"""The unknowns of a bundle adjustment as one vector, the residuals, and their sparse Jacobian.

X_camera = R_camera (R_frame X + t_frame) + t_camera. Every rotation is its start turned by a small
rotation vector; the unknowns are increments, 0 at the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, Float64, Shaped, frozen
from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.geometry.project import (
    CENTER,
    FISHEYE,
    FOCAL,
    PINHOLE,
    intrinsic_names,
    intrinsics,
    project_with_derivatives,
    with_intrinsics,
)
from fathom.rigs.triangulate import PosedCamera


@dataclass(frozen=True, eq=False)
class Bundle:
    """Cameras on a carrier, the carrier's places (frames), and points.

    cameras: their poses are carrier to camera; a single moving camera has the identity. rotations
    (f, 3, 3), translations (f, 3): world to carrier, metres. points: (p, 3), world, metres.

    Raises `InputError` for other shapes, no camera, or numbers that are not finite.
    """

    cameras: tuple[PosedCamera, ...]
    rotations: Float64[np.ndarray, "f 3 3"]
    translations: Float64[np.ndarray, "f 3"]
    points: Float64[np.ndarray, "p 3"]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise InputError("is empty", field="cameras", expected="one camera or more")
        frames = len(self.rotations)
        for name, shape in (
            ("rotations", (frames, 3, 3)),
            ("translations", (frames, 3)),
            ("points", (len(self.points), 3)),
        ):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape or values.size == 0:
                raise InputError(
                    "has a wrong shape", field=name, value=values.shape, expected=str(shape)
                )
            if not np.isfinite(values).all():
                raise InputError("holds values that are not finite", field=name)
            object.__setattr__(self, name, frozen(values))

    def camera_at(self, frame: int, camera: int) -> PosedCamera:
        """The camera as it stood in the world at that frame."""
        mount = self.cameras[camera]
        rotation = mount.rotation @ self.rotations[frame]
        shift = mount.rotation @ self.translations[frame] + mount.translation
        return PosedCamera(mount.camera, rotation, shift)


@dataclass(frozen=True, eq=False)
class Observations:
    """Which camera saw which point at which frame, and where.

    frame, camera, point: whole numbers (m,), indices into the bundle. pixels: (m, 2).

    Raises `InputError` if the lengths differ or a pixel is not finite.
    """

    frame: Shaped[np.ndarray, " m"]
    camera: Shaped[np.ndarray, " m"]
    point: Shaped[np.ndarray, " m"]
    pixels: Float64[np.ndarray, "m 2"]

    def __post_init__(self) -> None:
        pixels = np.array(self.pixels, dtype=np.float64)
        if pixels.ndim != 2 or pixels.shape[1] != 2 or not np.isfinite(pixels).all():
            raise InputError(
                "are not finite pixels", field="pixels", value=pixels.shape, expected="(m, 2)"
            )
        object.__setattr__(self, "pixels", frozen(pixels))
        for name in ("frame", "camera", "point"):
            values = np.asarray(getattr(self, name))
            if values.shape != (len(pixels),) or values.dtype.kind not in "iu":
                raise InputError(
                    "is not a whole number for every pixel",
                    field=name,
                    value=f"{values.dtype} {values.shape}",
                    expected=f"({len(pixels)},)",
                )
            object.__setattr__(self, name, frozen(values.astype(np.intp)))

    def __len__(self) -> int:
        return len(self.pixels)


def hat(vectors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Matrices [v] with [v] w = v x w."""
    out = np.zeros((len(vectors), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -vectors[:, 2], vectors[:, 1], -vectors[:, 0]
    return out - out.transpose(0, 2, 1)


def turn(vectors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Rotations by rotation vectors (axis times radians): Rodrigues' formula."""
    return _series(vectors, 0)


def turn_slope(vectors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """J with turn(v + dv) = turn(J dv) turn(v) to first order.

    T. Barfoot, State Estimation for Robotics, 2017, equation 7.37 (the left Jacobian of SO(3)).
    """
    return _series(vectors, 1)


def _series(vectors: Array, order: int) -> Array:
    angle = np.linalg.norm(vectors, axis=1)
    small = angle < 1e-4
    a = np.where(small, 1.0, angle)
    if order == 0:
        first = np.where(small, 1 - angle**2 / 6, np.sin(a) / a)
        second = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(a)) / a**2)
    else:
        first = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(a)) / a**2)
        second = np.where(small, 1 / 6 - angle**2 / 120, (a - np.sin(a)) / a**3)
    k = hat(vectors)
    out: Array = np.eye(3) + first[:, None, None] * k + second[:, None, None] * (k @ k)
    return out


@dataclass(frozen=True, eq=False)
class Pose:
    """One pose among the unknowns: where it starts, and what of it moves.

    first: index of its first unknown, -1 if it is held. reach: None for a free translation;
    otherwise the camera's distance from `anchor` (metres) is held, and its place has two unknowns.
    With a held distance it is the place, not the translation, that the rotation leaves alone.
    """

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]
    first: int = -1
    reach: float | None = None
    anchor: Float64[np.ndarray, "3"] | None = None

    @property
    def width(self) -> int:
        """How many unknowns it has."""
        return 0 if self.first < 0 else 6 if self.reach is None else 5

    @property
    def names(self) -> tuple[str, ...]:
        """Of its unknowns: radians, then metres, or radians of direction where a length is held."""
        shift = ("tx", "ty", "tz") if self.reach is None else ("along1", "along2")
        return ("rx", "ry", "rz", *shift)[: self.width]

    def at(self, unknowns: Array) -> "Placed":
        """The pose at these unknowns."""
        if self.first < 0:
            nothing = np.zeros((3, 3))
            return Placed(self.rotation, self.translation, nothing, nothing)
        own = unknowns[self.first : self.first + self.width]
        rotation = turn(own[None, :3])[0] @ self.rotation
        slope = turn_slope(own[None, :3])[0]
        if self.reach is None or self.anchor is None:
            return Placed(rotation, self.translation + own[3:], slope, np.eye(3))
        center = -self.rotation.T @ self.translation
        ahead = (center - self.anchor) / self.reach
        across = np.linalg.svd(ahead[None])[2][1:].T  # (3, 2), orthogonal to the direction
        raw = ahead + across @ own[3:]
        length = float(np.linalg.norm(raw))
        unit = raw / length
        moves = np.zeros((3, 3))
        moves[:, :2] = self.reach * (np.eye(3) - np.outer(unit, unit)) @ across / length
        place = self.anchor + self.reach * unit
        return Placed(rotation, -rotation @ place, slope, -rotation @ moves)


@dataclass(frozen=True, eq=False)
class Placed:
    """A pose and its derivatives: dX = -[lever] slope d(rotation) + moves d(place).

    moves: the columns beyond the pose's own unknowns are 0.
    """

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]
    slope: Float64[np.ndarray, "3 3"]
    moves: Float64[np.ndarray, "3 3"]


class Problem:
    """Residuals and Jacobian of a bundle as scipy's least squares wants them.

    Mutable on purpose and private to `bundle`: it keeps the sparsity pattern between calls.
    """

    def __init__(
        self,
        start: Bundle,
        seen: Observations,
        refine: Sequence[str],
        poses: tuple[list[Pose], list[Pose]],
        points: bool,
    ) -> None:
        self.start, self.seen = start, seen
        self.inner = [chosen_terms(c, refine) for c in start.cameras]
        self.mounts, self.frames = poses
        self.names: list[str] = []
        self.inner_first = []
        for i, camera in enumerate(start.cameras):
            self.inner_first.append(len(self.names))
            terms = intrinsic_names(camera.camera)
            self.names += [f"camera{i}.{terms[k]}" for k in self.inner[i]]
        for label, group in (("camera", self.mounts), ("frame", self.frames)):
            for i, pose in enumerate(group):
                if pose.first < 0:
                    continue
                group[i] = replace(pose, first=len(self.names))
                self.names += [f"{label}{i}.{name}" for name in group[i].names]
        self.head = len(self.names)
        self.size = self.head + (3 * len(start.points) if points else 0)
        self.points = points
        self._columns, self._there = self._pattern()

    def _pattern(self) -> tuple[Array, Bool[np.ndarray, "m w"]]:
        """Column of every entry of the blocks [intrinsics | mount | frame | point], and which
        entries there are."""
        seen = self.seen
        widest = max((len(k) for k in self.inner), default=0)
        inner = np.full((len(self.inner), widest), -1)
        for i, terms in enumerate(self.inner):
            inner[i, : len(terms)] = self.inner_first[i] + np.arange(len(terms))
        blocks = [inner[seen.camera]]
        for group, index in ((self.mounts, seen.camera), (self.frames, seen.frame)):
            own = np.full((len(group), 6), -1)
            for i, pose in enumerate(group):
                own[i, : pose.width] = pose.first + np.arange(pose.width)
            blocks.append(own[index])
        if self.points:
            blocks.append(self.head + 3 * seen.point[:, None] + np.arange(3))
        columns = np.concatenate(blocks, axis=1)
        return columns, columns >= 0

    def cameras(self, unknowns: Array) -> list[Camera]:
        """The cameras with their intrinsics at these unknowns."""
        out = []
        for i, mounted in enumerate(self.start.cameras):
            values = intrinsics(mounted.camera)
            first = self.inner_first[i]
            values[self.inner[i]] += unknowns[first : first + len(self.inner[i])]
            out.append(with_intrinsics(mounted.camera, values))
        return out

    def bundle(self, unknowns: Array) -> Bundle:
        """The bundle at these unknowns."""
        mounts = [pose.at(unknowns) for pose in self.mounts]
        poses = [pose.at(unknowns) for pose in self.frames]
        return Bundle(
            tuple(
                PosedCamera(camera, pose.rotation, pose.translation)
                for camera, pose in zip(self.cameras(unknowns), mounts, strict=True)
            ),
            np.stack([p.rotation for p in poses]),
            np.stack([p.translation for p in poses]),
            self._moved(unknowns),
        )

    def _moved(self, unknowns: Array) -> Array:
        if not self.points:
            return self.start.points
        return self.start.points + unknowns[self.head :].reshape(-1, 3)

    def linearised(self, unknowns: Array) -> tuple[Array, Array]:
        """Residuals (m, 2), projected minus seen, in pixels, and blocks (m, 2, w) of derivatives.

        Residuals are NaN where a point lies behind its camera.
        """
        seen = self.seen
        points = self._moved(unknowns)[seen.point]
        frames = [pose.at(unknowns) for pose in self.frames]
        world = np.stack([f.rotation for f in frames])[seen.frame]
        slopes = np.stack([f.slope for f in frames])[seen.frame]
        moves = np.stack([f.moves for f in frames])[seen.frame]
        turned = _times(world, points)
        inside = turned + np.stack([f.translation for f in frames])[seen.frame]
        # A rotation that keeps its place turns the whole vector, one that keeps t only R X.
        held = np.array([pose.reach is not None for pose in self.frames])[seen.frame]
        levers = np.where(held[:, None], inside, turned)
        residuals = np.zeros((len(seen), 2))
        blocks = np.zeros((len(seen), 2, self._columns.shape[1]))
        mount = max(len(k) for k in self.inner)  # where that block begins; the frame's follows
        for i, camera in enumerate(self.cameras(unknowns)):
            rows = np.nonzero(seen.camera == i)[0]
            pose = self.mounts[i].at(unknowns)
            arm = inside[rows] @ pose.rotation.T
            made = project_with_derivatives(arm + pose.translation, camera)
            residuals[rows] = made.pixels - seen.pixels[rows]
            blocks[rows, :, : len(self.inner[i])] = made.by_intrinsics[..., self.inner[i]]
            lever = arm if self.mounts[i].reach is None else arm + pose.translation
            blocks[rows, :, mount : mount + 6] = _moved_by(
                made.by_point, lever, pose.slope, pose.moves
            )
            inner = made.by_point @ pose.rotation
            blocks[rows, :, mount + 6 : mount + 12] = _moved_by(
                inner, levers[rows], slopes[rows], moves[rows]
            )
            if self.points:
                blocks[rows, :, mount + 12 :] = inner @ world[rows]
        return residuals, blocks

    def sparse(self, blocks: Float64[np.ndarray, "m 2 w"]) -> Any:
        """The Jacobian (2 m, size) as scipy's compressed rows."""
        from scipy.sparse import csr_array

        there = np.repeat(self._there, 2, axis=0)
        columns = np.repeat(self._columns, 2, axis=0)[there]
        begins = np.r_[0, np.cumsum(there.sum(axis=1))]
        values = blocks.reshape(-1, blocks.shape[2])[there]
        return csr_array((values, columns, begins), shape=(len(there), self.size))


def _times(matrices: Float64[np.ndarray, "n 3 3"], vectors: Float64[np.ndarray, "n 3"]) -> Array:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _moved_by(by_point: Array, lever: Array, slope: Array, moves: Array) -> Array:
    """Pixels per unknown of a pose (n, 2, 6): a turn sweeps the lever, a shift moves all alike."""
    return np.concatenate([by_point @ (-hat(lever)) @ slope, by_point @ moves], axis=2)


def chosen_terms(posed: PosedCamera, refine: Sequence[str]) -> list[int]:
    """Indices into `intrinsic_names` of what `refine` names: focal, center, distortion, or single
    terms such as k1.

    Raises `UsageError` for a word that names nothing.
    """
    names = intrinsic_names(posed.camera)
    groups = {"focal": FOCAL, "center": CENTER, "distortion": names[4:]}
    wanted: set[str] = set()
    for word in refine:
        if word not in groups and word not in KNOWN_TERMS:
            raise UsageError(
                "names no intrinsic parameter",
                field="refine",
                value=word,
                expected="focal, center, distortion, or single terms such as fx or k1",
            )
        wanted.update(groups.get(word, (word,)))
    return [i for i, name in enumerate(names) if name in wanted]


KNOWN_TERMS = frozenset((*FOCAL, *CENTER, *PINHOLE, *FISHEYE))
