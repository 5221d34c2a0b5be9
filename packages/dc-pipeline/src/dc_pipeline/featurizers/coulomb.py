"""Coulomb matrices: molecules as the repulsion of their nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from dc_core import Failure, Features, charge, check_count
from dc_core.errors import ParameterError
from dc_pipeline.featurizers.base import sequence_of
from dc_pipeline.featurizers.conformers import (
    Geometry,
    GeometryFeaturizer,
    pair_distances,
    report_on,
)

BOHR: Final = 0.529177210544
"""The Bohr radius in Å (CODATA 2022)."""

_ORDERS: Final = ("input", "sorted", "random")
_MAX_SIZE: Final = 1 << 12


class CoulombMatrix(GeometryFeaturizer):
    """Coulomb matrices (Rupp and others 2012, doi:10.1103/PhysRevLett.108.058301), in hartree.

    Off the diagonal they are ``Z_i Z_j / |R_i - R_j|`` with distances in bohr, and on it
    ``0.5 Z_i ** 2.4``. Features are ``(n, size, size)`` of float32, zero beyond the atoms of a
    molecule; one with more than ``size`` atoms fails with the status ``size``.

    ``order`` is that of rows and columns: ``"input"``; ``"sorted"`` by descending norm, which does
    not depend on the order of atoms; or ``"random"``, sorted after noise of deviation 1 was added
    to the norms (Montavon and others 2012), from ``seed`` and independent of the other inputs.

    Positions are those of a molecule's conformer, or computed as in :class:`Conformer`, whose
    options and failures it shares. Hydrogens count among the atoms.

    Raises :class:`ParameterError` for counts out of range and for another ``order``.
    """

    def __init__(
        self,
        size: int,
        *,
        order: Literal["input", "sorted", "random"] = "sorted",
        seed: int = 0,
        optimize: bool = False,
        max_iterations: int | None = None,
    ) -> None:
        if order not in _ORDERS:
            raise ParameterError(
                f"There is no order {order!r}.", hint=f"Give one of {', '.join(_ORDERS)}."
            )
        self.size = check_count("size", size, minimum=1, maximum=_MAX_SIZE)
        self.order = order
        self._set_options(seed, optimize=optimize, max_iterations=max_iterations, max_atoms=size)

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one matrix per molecule, zero where there is none.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = sequence_of(inputs)
        charge(4 * len(inputs) * self.size**2, f"Coulomb matrices of {len(inputs)} inputs")
        values = np.zeros((len(inputs), self.size, self.size), np.float32)
        ok = np.zeros(len(inputs), bool)
        failures: list[Failure] = []
        for row, geometry in self._geometries(inputs, failures):
            n = len(geometry.numbers)
            values[row, :n, :n] = self._in_order(coulomb_matrix(geometry))
            ok[row] = True
        return Features(values, ok, report_on(failures, strict=strict))

    def _in_order(self, matrix: np.ndarray) -> np.ndarray:
        if self.order == "input":
            return matrix
        norms = np.linalg.norm(matrix, axis=1)
        if self.order == "random":
            norms = norms + np.random.default_rng(self.seed).normal(size=len(norms))
        order = np.argsort(-norms, kind="stable")
        return matrix[np.ix_(order, order)]


class CoulombEigenvalues(GeometryFeaturizer):
    """The eigenvalues of Coulomb matrices, in hartree, by descending absolute value.

    They do not depend on the order of atoms (Rupp and others 2012,
    doi:10.1103/PhysRevLett.108.058301). Features are ``(n, size)`` of float32, zero beyond the
    atoms of a molecule. The options and failures are those of :class:`CoulombMatrix`.
    """

    def __init__(
        self, size: int, *, seed: int = 0, optimize: bool = False, max_iterations: int | None = None
    ) -> None:
        self.size = check_count("size", size, minimum=1, maximum=_MAX_SIZE)
        self._set_options(seed, optimize=optimize, max_iterations=max_iterations, max_atoms=size)

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return the eigenvalues of each molecule, zero where there is none.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = sequence_of(inputs)
        charge(4 * len(inputs) * self.size, f"Coulomb eigenvalues of {len(inputs)} inputs")
        values = np.zeros((len(inputs), self.size), np.float32)
        ok = np.zeros(len(inputs), bool)
        failures: list[Failure] = []
        for row, geometry in self._geometries(inputs, failures):
            found = np.linalg.eigvalsh(coulomb_matrix(geometry))
            values[row, : len(found)] = found[np.argsort(-np.abs(found), kind="stable")]
            ok[row] = True
        return Features(values, ok, report_on(failures, strict=strict))


def coulomb_matrix(geometry: Geometry) -> np.ndarray:
    """Return the Coulomb matrix in hartree, ``(atoms, atoms)`` of float64."""
    numbers = geometry.numbers.astype(np.float64)
    distances = pair_distances(geometry.positions) / BOHR
    np.fill_diagonal(distances, 1.0)
    matrix = np.outer(numbers, numbers) / distances
    np.fill_diagonal(matrix, 0.5 * numbers**2.4)
    return matrix
