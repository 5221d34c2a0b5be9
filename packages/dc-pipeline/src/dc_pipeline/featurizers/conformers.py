"""Conformers by RDKit: where the atoms of molecules are in space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from dc_core import Failure, FailureReport, Features, Featurizer, Ragged, check_count, check_flag
from dc_pipeline.featurizers.base import sequence_of
from dc_pipeline.featurizers.molecule_graphs import one_line
from dc_pipeline.featurizers.molecules import MAX_ATOMS, silenced, too_large
from dc_pipeline.featurizers.reading import chunks, shown

_CHUNK: Final = 256
"""Molecules held at a time, so that their memory does not grow with the number of inputs."""

_MAX_SEED: Final = (1 << 31) - 3


class Geometry(NamedTuple):
    """Atoms in space: their numbers ``(atoms,)`` of uint8 and positions ``(atoms, 3)`` in Å."""

    numbers: np.ndarray
    positions: np.ndarray


class GeometryFeaturizer(Featurizer[Any]):
    """A featurizer of positions in space, which it takes from inputs or computes.

    Inputs are those of :class:`MolecularGraph`. A molecule that has a
    three-dimensional conformer is used as it is, with the hydrogens that are its atoms. Others get
    all their hydrogens and one conformer by ETKDG version 3 (Wang and others 2020,
    doi:10.1021/acs.jcim.0c00025), and are optimized with the force field MMFF94s if ``optimize``.
    RDKit's random seed is ``seed + 1``, because it takes 0 for 1. The conformer of a molecule does
    not depend on the other inputs.

    Failures have the status ``parse``, ``sanitize``, ``size`` (more than ``max_atoms`` atoms,
    hydrogens included) or ``feature``: no conformer was found in ``max_iterations`` attempts (if it
    is None, 10 per atom), or the force field has no parameters for the molecule.
    """

    requires = ("rdkit",)
    seed: int
    optimize: bool
    max_iterations: int | None
    max_atoms: int

    def _set_options(
        self, seed: int, *, optimize: bool, max_iterations: int | None, max_atoms: int
    ) -> None:
        """Set the options that all featurizers of positions have."""
        self.seed = check_count("seed", seed, minimum=0, maximum=_MAX_SEED)
        self.optimize = check_flag("optimize", optimize)
        self.max_iterations = (
            None
            if max_iterations is None
            else check_count("max_iterations", max_iterations, minimum=1, maximum=10_000)
        )
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)

    def _geometries(
        self, inputs: Sequence[Any], failures: list[Failure]
    ) -> Iterator[tuple[int, Geometry]]:
        """Yield the row and geometry of each input that has one; add others to ``failures``."""
        for chunk in chunks(inputs, _CHUNK, self.max_atoms):
            failures += chunk.failures
            for i, molecule in enumerate(chunk.molecules):
                if molecule is None:
                    continue
                with silenced():
                    found = self._geometry(molecule)
                if isinstance(found, Geometry):
                    yield chunk.first_row + i, found
                else:
                    name = shown(chunk.inputs[i])
                    failures.append(Failure(chunk.first_row + i, name, *found))

    def _geometry(self, molecule: Any) -> Geometry | tuple[str, str]:
        """Return the geometry of a molecule, or the status and reason of its failure."""
        try:
            if not any(conformer.Is3D() for conformer in molecule.GetConformers()):
                molecule = Chem.AddHs(molecule)
                if molecule.GetNumAtoms() <= self.max_atoms:
                    reason = self._embed(molecule)
                    if reason:
                        return "feature", reason
        except RuntimeError as error:
            return "feature", one_line(error)
        if molecule.GetNumAtoms() > self.max_atoms:
            return "size", too_large(molecule.GetNumAtoms(), self.max_atoms)
        numbers = np.fromiter((a.GetAtomicNum() for a in molecule.GetAtoms()), np.uint8)
        conformer = next(c for c in molecule.GetConformers() if c.Is3D())
        return Geometry(numbers, np.array(conformer.GetPositions(), np.float64).reshape(-1, 3))

    def _embed(self, molecule: Any) -> str:
        """Give ``molecule`` a conformer; return why it has none, or an empty string."""
        options: Any = rdDistGeom.ETKDGv3()
        attempts = self.max_iterations or 10 * molecule.GetNumAtoms()
        options.randomSeed = self.seed + 1
        options.maxIterations = attempts
        if molecule.GetNumAtoms() == 0:
            return "the molecule has no atoms"
        if rdDistGeom.EmbedMolecule(molecule, options) < 0:
            return f"no conformer was found in {attempts} attempts"
        if self.optimize:
            if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
                return "the force field MMFF94s has no parameters for this molecule"
            rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, mmffVariant="MMFF94s")
        return ""


class Conformer(GeometryFeaturizer):
    """One three-dimensional conformer per molecule.

    Features are the ragged columns ``numbers``, the atomic numbers as uint8; ``positions``,
    ``(atoms, 3)`` in Å as float32; and with ``distances`` also ``distances``, between all pairs of
    atoms row by row, ``(atoms²,)`` in Å as float32.

    SMILES get a conformer by ETKDG from ``seed``; molecules that have one keep it. The options and
    failures are those of :class:`GeometryFeaturizer`.

    Raises :class:`ParameterError` for counts out of range, and flags that are not True or False.
    """

    def __init__(
        self,
        *,
        distances: bool = False,
        seed: int = 0,
        optimize: bool = False,
        max_iterations: int | None = None,
        max_atoms: int = MAX_ATOMS,
    ) -> None:
        self.distances = check_flag("distances", distances)
        self._set_options(
            seed, optimize=optimize, max_iterations=max_iterations, max_atoms=max_atoms
        )

    def featurize(self, inputs: Sequence[Any], *, strict: bool = False) -> Features:
        """Return one conformer per molecule, empty where there is none.

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length.
        """
        inputs = sequence_of(inputs)
        failures: list[Failure] = []
        found = dict(self._geometries(inputs, failures))
        report = report_on(failures, strict=strict)
        ok = np.zeros(len(inputs), bool)
        ok[list(found)] = True
        none = Geometry(np.zeros(0, np.uint8), np.zeros((0, 3)))
        rows = [found.get(i, none) for i in range(len(inputs))]
        columns = {
            "numbers": ragged([row.numbers for row in rows], np.zeros(0, np.uint8)),
            "positions": ragged([row.positions for row in rows], np.zeros((0, 3), np.float32)),
        }
        if self.distances:
            columns["distances"] = ragged(
                [pair_distances(row.positions).ravel() for row in rows], np.zeros(0, np.float32)
            )
        return Features(columns, ok, report)


def pair_distances(positions: np.ndarray) -> np.ndarray:
    """Return the distances between all pairs of ``(n, 3)`` positions, ``(n, n)``."""
    distances: np.ndarray = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return distances


def report_on(failures: list[Failure], *, strict: bool) -> FailureReport:
    """Return the report in the order of rows; raise if ``strict`` and anything failed."""
    report = FailureReport(tuple(sorted(failures, key=lambda failure: failure.row)))
    if strict:
        report.raise_if_any()
    return report


def ragged(rows: Sequence[np.ndarray], empty: np.ndarray) -> Ragged:
    """Return the column of ``rows``, whose values have the form of those of ``empty``."""
    values = np.concatenate([empty, *rows]).astype(empty.dtype)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Ragged(values, offsets)
