"""What a bundle's residuals and Jacobian say about the error of its unknowns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.errors import InputError

if TYPE_CHECKING:
    from fathom.rigs.bundle_problem import Problem

_CHUNK = 5_000  # points whose covariance is made at a time


@dataclass(frozen=True, eq=False)
class Normal:
    """J^T J in its parts. head: (k, k), of all unknowns but the points. points: (p, 3, 3), its
    blocks of the points, None where they are held. mixed: sparse (3 p, k), what is between them.
    """

    head: Float64[np.ndarray, "k k"]
    points: Float64[np.ndarray, "p 3 3"] | None
    mixed: Any


def normal_of(problem: "Problem", blocks: Float64[np.ndarray, "m 2 w"]) -> Normal:
    """J^T J of the blocks that `Problem.linearised` gives."""
    jacobian = problem.sparse(blocks)
    head = jacobian[:, : problem.head]
    normal = (head.T @ head).toarray()
    if not problem.points:
        return Normal(normal, None, None)
    moved = blocks[:, :, -3:]
    own = np.zeros((len(problem.start.points), 3, 3))
    np.add.at(own, problem.seen.point, moved.transpose(0, 2, 1) @ moved)
    return Normal(normal, own, (jacobian[:, problem.head :].T @ head).tocsr())


def blockwise(blocks: Float64[np.ndarray, "p 3 3"], matrix: Any) -> Any:
    """The product of a block diagonal matrix (3 p, 3 p) with a sparse matrix of 3 p rows."""
    from scipy.sparse import bsr_array

    count = len(blocks)
    diagonal = bsr_array(
        (blocks, np.arange(count), np.arange(count + 1)), shape=(3 * count, 3 * count)
    )
    return (diagonal @ matrix).tocsr()


@dataclass(frozen=True)
class Noise:
    """sigma: standard deviation of a pixel coordinate, outliers held back. variance: what
    (J^T J)^-1 is to be multiplied with, square pixels."""

    sigma: float
    variance: float


def noise_of(residuals: Float64[np.ndarray, "m 2"], loss: str, scale: float, size: int) -> Noise:
    """Of residuals in pixels under a loss with its scale, and a number of unknowns.

    For a robust loss rho with psi = rho', the covariance of the estimate is
    mean(psi^2) / mean(psi')^2 (J^T J)^-1 (P. Huber, Robust Statistics, 1981, equation 7.6.4).
    """
    flat = residuals.ravel()
    freedom = len(flat) / (len(flat) - size)
    if loss == "linear":
        variance = freedom * float(np.mean(flat**2))
        return Noise(float(np.sqrt(variance)), variance)
    z = flat / scale
    if loss == "huber":
        psi, slope = np.clip(flat, -scale, scale), (np.abs(z) < 1).astype(np.float64)
    else:
        psi, slope = flat / np.sqrt(1 + z**2), (1 + z**2) ** -1.5
    variance = freedom * float(np.mean(psi**2) / max(np.mean(slope) ** 2, 1e-12))
    sigma = 1.4826 * float(np.median(np.abs(flat))) * float(np.sqrt(freedom))
    return Noise(sigma, variance)


def covariances(
    problem: "Problem", blocks: Float64[np.ndarray, "m 2 w"], variance: float
) -> tuple[Float64[np.ndarray, "k k"], Float64[np.ndarray, "p 3 3"] | None]:
    """Of all unknowns but the points, and of every point; (J^T J)^-1 times the variance.

    With moving points by the Schur complement (Hartley and Zisserman 2004, appendix 6.3.1), which
    never builds the matrix of all unknowns.

    Raises `InputError` if an unknown is not determined.
    """
    normal = normal_of(problem, blocks)
    if normal.points is None:
        return variance * _inverted(normal.head, problem.names), None
    own = _point_inverses(normal.points)
    if problem.head == 0:
        return np.zeros((0, 0)), variance * own
    part = blockwise(own, normal.mixed)  # N_pp^-1 N_pc
    known = _inverted(normal.head - (normal.mixed.T @ part).toarray(), problem.names)
    spread = own.copy()
    for begin in range(0, len(own), _CHUNK):
        rows = part[3 * begin : 3 * (begin + _CHUNK)].toarray().reshape(-1, 3, problem.head)
        spread[begin : begin + len(rows)] += rows @ known @ rows.transpose(0, 2, 1)
    return variance * known, variance * spread


def _point_inverses(own: Float64[np.ndarray, "p 3 3"]) -> Float64[np.ndarray, "p 3 3"]:
    scale = np.sqrt(np.einsum("pii->pi", own))
    outer = scale[:, :, None] * scale[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = own / outer
        weak = ~(np.linalg.det(unit) > 1e-14)
    if weak.any():
        raise InputError(
            f"{int(weak.sum())} of {len(own)} points have rays too parallel for a depth",
            field="points",
            expected="points seen under an angle",
            remedy="leave those points out",
        )
    out: Array = np.linalg.inv(unit) / outer
    return out


def _inverted(normal: Float64[np.ndarray, "k k"], names: list[str]) -> Float64[np.ndarray, "k k"]:
    """The inverse of a normal matrix, scaled to a unit diagonal before it is judged."""
    scale = np.sqrt(np.diag(normal))
    if not (scale > 0).all():
        raise _undetermined(names[int(np.argmin(scale))])
    outer = np.outer(scale, scale)
    values, vectors = np.linalg.eigh(normal / outer)
    if values[0] < 1e-12:
        raise _undetermined(names[int(np.argmax(np.abs(vectors[:, 0])))])
    out: Array = (vectors / values) @ vectors.T / outer
    return out


def _undetermined(name: str) -> InputError:
    return InputError(
        "is not determined by the observations",
        field=name,
        expected="views that differ more, or this term left out of `refine`",
    )
