"""scipy's least squares on a bundle, made to converge fast."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.core.arrays import Array
from fathom.rigs.bundle_covariance import blockwise, normal_of
from fathom.rigs.bundle_start import BundleOptions

if TYPE_CHECKING:
    from fathom.rigs.bundle_problem import Problem

_STAGE = 12  # evaluations before the variables are scaled anew


class Solution:
    """Where the minimum lies. Mutable while it is being searched, private to `bundle`.

    unknowns: of the problem. residuals (m, 2) and blocks (m, 2, w) there. evaluations: made.
    converged: False if they ran out.
    """

    def __init__(self, problem: "Problem", told: Callable[[Array], None]) -> None:
        self._problem, self._told = problem, told
        self.unknowns = np.zeros(problem.size)
        self.evaluations, self.converged = 0, False
        self.residuals, self.blocks = problem.linearised(self.unknowns)

    def at(self, unknowns: Array) -> tuple[Array, Array]:
        """Residuals and blocks; scipy asks for them apart, and both cost the same one pass."""
        if not np.array_equal(unknowns, self.unknowns):
            self.unknowns = unknowns.copy()
            self.residuals, self.blocks = self._problem.linearised(unknowns)
            self._told(self.residuals)
        return self.residuals, self.blocks

    def solve(self, options: BundleOptions) -> None:
        """Goes to the minimum of the robust reprojection error, in stages."""
        while not self.converged and self.evaluations < options.max_evaluations:
            done = self._stage(options, min(options.max_evaluations - self.evaluations, _STAGE))
            self.evaluations += int(done.nfev)
            self.converged = done.status > 0

    def _stage(self, options: BundleOptions, evaluations: int) -> Any:
        """In variables z with unknowns = base + P z, in which J^T J is about 1.

        LSMR, which scipy uses on sparse Jacobians, needs as many rounds as the unknowns are
        unequal; P = L^-T of a Cholesky factor of J^T J makes them equal (M. Byröd and K. Åström,
        "Conjugate gradient bundle adjustment", ECCV 2010).
        """
        from scipy.optimize import least_squares
        from scipy.sparse.linalg import LinearOperator

        base = self.unknowns
        weight = _weight(self.residuals, options)
        reach = max(float(np.linalg.norm(self.residuals * weight)), 1e-6)
        change = _Change(self._problem, self.blocks * weight[..., None], reach)
        shape = (2 * len(self._problem.seen), self._problem.size)

        def residuals(z: Array) -> Array:
            # A copy, for scipy weights its array in place. Residuals are NaN where a step takes a
            # point behind its camera; scipy then shortens the step.
            return self.at(base + change.back(z))[0].flatten()

        def jacobian(z: Array) -> Any:
            matrix = self._problem.sparse(self.at(base + change.back(z))[1])
            turned = matrix.T.tocsr()
            return LinearOperator(
                shape,
                matvec=lambda v: matrix @ change.back(np.ravel(v)),
                rmatvec=lambda v: change.forth(turned @ np.ravel(v)),
                dtype=np.float64,
            )

        done = least_squares(
            residuals,
            np.zeros(len(base)),
            jac=jacobian,
            method="trf",
            tr_solver="lsmr",
            loss=options.loss,
            f_scale=options.loss_scale,
            ftol=1e-9,
            xtol=1e-10,
            gtol=1e-12,  # met where the start is exact: scipy would divide by the slope
            max_nfev=evaluations,
        )
        self.at(base + change.back(done.x))
        return done


def _weight(residuals: Array, options: BundleOptions) -> Array:
    """Square roots of what the loss makes of the residuals' weights."""
    z = np.abs(residuals) / options.loss_scale
    if options.loss == "linear":
        return np.ones_like(z)
    weight = 1 / np.sqrt(1 + z**2) if options.loss == "soft_l1" else 1 / np.maximum(z, 1)
    return np.asarray(np.sqrt(weight))


class _Change:
    """x = P z with P = s L^-T and J^T J = L L^T, by blocks: the points first, then the rest.

    The scale s, the length of the residuals, is how far the minimum can be: scipy's first step is
    at most 1 long.
    """

    def __init__(self, problem: "Problem", blocks: Array, scale: float) -> None:
        normal = normal_of(problem, blocks)
        self._head = problem.head
        head = normal.head + _trace_of(normal.head)
        self._points: Array | None = None
        if normal.points is not None:
            steady = normal.points + np.einsum(
                "pi,ij->pij", 1e-9 * np.einsum("pii->pi", normal.points) + 1e-30, np.eye(3)
            )
            self._points = np.linalg.inv(np.linalg.cholesky(steady))  # of L
            self._between = blockwise(self._points, normal.mixed)
            self._across = self._between.T.tocsr()
            head = head - (self._across @ self._between).toarray()
        self._rest = np.linalg.inv(np.linalg.cholesky(head))
        self._scale = scale

    def back(self, scaled: Array) -> Array:
        """Unknowns of z."""
        z = self._scale * scaled
        head = self._rest.T @ z[: self._head]
        if self._points is None:
            return head
        own = (z[self._head :] - self._between @ head).reshape(-1, 3, 1)
        return np.concatenate([head, (self._points.transpose(0, 2, 1) @ own).ravel()])

    def forth(self, slope: Array) -> Array:
        """The gradient by z of a gradient by unknowns: P^T g."""
        gradient = self._scale * slope
        if self._points is None:
            return np.asarray(self._rest @ gradient)
        own = (self._points @ gradient[self._head :].reshape(-1, 3, 1)).ravel()
        return np.concatenate([self._rest @ (gradient[: self._head] - self._across @ own), own])


def _trace_of(normal: Array) -> Array:
    """A little of the diagonal: keeps a factor there where an unknown is hardly determined."""
    return np.diag(1e-9 * np.diag(normal) + 1e-30)
